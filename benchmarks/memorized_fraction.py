"""Is the memorized fraction right at forty members? Against what is known, and against many members.

    python benchmarks/memorized_fraction.py [--quick] [--store URI --study NAME [--members 40]]

`simulated`: bias of counting noisy scores and of the estimate, and how often its 95 % interval covers the
true share, for populations whose probabilities are known. `time`: an estimate with the intervals of all
thresholds at 50,000 examples. `stored`: cells of a study with many members (as `mlflow run . -e corr_grid -P
grid=digits -P members=400 -P study=NAME` trains them), so many members at a time against all of them, and the
correlation over the cells likewise.
"""

import argparse
import json
import time

import numpy as np

from memreg import Registry
from memreg.estimators import mixture
from memreg.estimators.bootstrap import covariance, replicates
from memreg.estimators.correlation import Noise, pearson
from memreg.estimators.counts import Counts, Tally
from memreg.estimators.scores import counted_fraction
from memreg.estimators.statistics import fraction_key
from memreg.estimators.summary import summarise
from memreg.estimators.threshold import THRESHOLDS

AT = np.array([0.05, 0.25, 0.5, 0.75])
ALL = np.array(THRESHOLDS)


def populations(n: int, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(p included, p excluded) of n examples."""
    kind = rng.random(n)
    few = np.where(kind < 0.1, rng.beta(1, 1, n), rng.beta(30, 0.5, n))
    wrong = np.where(kind < 0.2, rng.beta(0.3, 12, n), rng.beta(5, 1, n))
    mixed = np.where(
        kind < 0.7, rng.beta(20, 0.5, n), np.where(kind < 0.9, rng.beta(2, 2, n), rng.beta(0.5, 5, n))
    )
    spread, hard = rng.beta(1, 1, n), rng.beta(5, 1, n)
    return {
        "easy but for a tenth": (1 - (1 - few) * rng.beta(0.5, 20, n), few),
        "wrong labels": (1 - (1 - wrong) * rng.beta(0.5, 40, n), wrong),
        "three kinds": (1 - (1 - mixed) * rng.beta(1, 6, n), mixed),
        "all difficulties": (1 - (1 - spread) * rng.beta(0.5, 20, n), spread),
        "hard, not memorized": (hard + (1 - hard) * rng.beta(1, 9, n), hard),
    }


def observed(p1: np.ndarray, p0: np.ndarray, members: int, rng: np.random.Generator) -> Counts:
    n1 = round(0.7 * members)
    n0 = members - n1
    full = np.full(len(p1), n1), np.full(len(p0), n0)
    return Counts(full[0], rng.binomial(n1, p1), full[1], rng.binomial(n0, p0))


def counted(counts: Counts, at: np.ndarray) -> np.ndarray:
    return np.array([counted_fraction(counts.score, t) for t in at])


def simulated(times: int) -> dict[str, float]:
    print(f"{'population':22} {'members':>7}  {'':10}" + "".join(f"{f'>= {t:.2f}':>9}" for t in AT))
    figures: dict[str, float] = {}
    for members in (20, 40, 100):
        biases, coverage = [], []
        for name in populations(1, np.random.default_rng(0)):
            rows = []
            for seed in range(times):
                rng = np.random.default_rng(seed)
                p1, p0 = populations(1300, rng)[name]
                truth = np.array([np.mean(p1 - p0 >= t) for t in AT])
                counts = observed(p1, p0, members, rng)
                table = mixture.table(counts)
                weights = mixture.fit(table)
                low, high = mixture.share_intervals(table, weights, AT)
                ours = mixture.shares(weights, AT)
                covered = (low <= truth) & (truth <= high)
                rows.append([truth, counted(counts, AT) - truth, ours - truth, covered, high - low])
            truth, counting, bias, covered, width = np.mean(rows, 0)
            rows = [truth, counting, bias, covered, width]
            for what, values in zip(("truth", "counting", "bias", "coverage", "width"), rows, strict=True):
                print(f"{name:22} {members:7}  {what:10}" + "".join(f"{v:9.3f}" for v in values))
            biases.append(np.abs([counting, bias]))
            coverage.append(covered)
        counting, bias = np.mean(biases, 0)
        print(
            f"{'mean |bias| / counting':22} {members:7}  {'':10}"
            + "".join(f"{v:9.2f}" for v in bias / counting)
        )
        for t, share in zip(AT, bias / counting, strict=True):
            figures[f"bias_ratio_{members}/{t:.2f}"] = round(float(share), 3)
        figures[f"coverage_{members}"] = round(float(np.mean(coverage)), 3)
        figures[f"least_coverage_{members}"] = round(float(np.min(coverage)), 3)
    return figures


def timed() -> dict[str, float]:
    figures = {}
    for members in (40, 1000):
        rng = np.random.default_rng(0)
        counts = observed(*populations(50_000, rng)["three kinds"], members, rng)
        began = time.perf_counter()
        table = mixture.table(counts)
        weights = mixture.fit(table)
        fitted = time.perf_counter() - began
        mixture.share_intervals(table, weights, ALL)
        seconds = time.perf_counter() - began
        print(f"50,000 examples, {members} members: {fitted:.2f} s, with 19 intervals {seconds:.2f} s")
        figures[f"seconds_{members}"] = round(seconds, 2)
    return figures


def stored(uri: str, study: str, members: int) -> dict[str, float]:
    registry = Registry(uri)
    cells = registry.cells(study=study)
    tallies: list[Tally] = []
    for cell in registry.cells_by_run(cells["run_id"]):
        tallies.append(cell.tally(blocks=True))
    whole = [summarise(sums) for sums in tallies]
    keys = [fraction_key(t) for t in AT]
    names = (
        cells["model"] + " " + cells["dataset"] + np.where(cells["weight_decay"] > 0, "", ", bare")
    ).tolist()
    print(f"\n{'cell':40} {'members':>7}  {'':10}" + "".join(f"{f'>= {t:.2f}':>9}" for t in AT))
    biases, coverage, chunks = [], [], []
    for name, sums, all_members in zip(names, tallies, whole, strict=True):
        truth = np.array([all_members[key] for key in keys])
        size = round(members / sums.members[0])
        rows, parts = [], []
        for first in range(0, len(sums.block) - size + 1, size):
            part = sums.part(np.isin(np.arange(len(sums.block)), range(first, first + size)))
            table = mixture.table(part.total)
            weights = mixture.fit(table)
            low, high = mixture.share_intervals(table, weights, AT)
            rows.append([
                counted(part.total, AT) - truth, mixture.shares(weights, AT) - truth,
                (low <= truth) & (truth <= high),
            ])  # fmt: skip
            parts.append(part)
        counting, bias, covered = np.mean(rows, 0)
        for what, values in (("truth", truth), ("counting", counting), ("bias", bias), ("coverage", covered)):
            print(
                f"{name:40} {all_members['members']:7.0f}  {what:10}" + "".join(f"{v:9.3f}" for v in values)
            )
        biases.append(np.abs([counting, bias]))
        coverage.append(covered)
        chunks.append(parts)
    counting, bias = np.mean(biases, 0)
    print(f"{'mean |bias|':40} {'':7}  {'counting':10}" + "".join(f"{v:9.4f}" for v in counting))
    print(f"{'':40} {'':7}  {'estimate':10}" + "".join(f"{v:9.4f}" for v in bias))
    figures = {
        f"stored_ratio/{t:.2f}": round(float(b / c), 3) for t, b, c in zip(AT, bias, counting, strict=True)
    }
    figures |= {"stored_coverage": round(float(np.mean(coverage)), 3)}
    return figures | over_cells(cells["dataset"].to_numpy(), whole, chunks)


def over_cells(
    datasets: np.ndarray, whole: list[dict[str, float]], chunks: list[list[Tally]]
) -> dict[str, float]:
    """r of the memorized fraction with test accuracy, pooled and within data sets, at few members and all."""
    key, groups = fraction_key(0.25), np.unique(datasets, return_inverse=True)[1]
    x, y = (np.array([w[k] for w in whole]) for k in ("test_accuracy", key))
    figures: dict[str, float] = {}
    for where, by in (("pooled", None), ("within", groups)):
        truth = pearson(x, y, by).r
        counted_truth = pearson(x, np.array([w["counted_fraction/0.25"] for w in whole]), by).r
        found, counts = [], []
        for c in range(min(map(len, chunks))):
            parts = [chunk[c] for chunk in chunks]
            values = [summarise(p) for p in parts]
            draws = [replicates(p) for p in parts]
            noise = np.stack([
                covariance(np.stack([d["test_accuracy"], d[key]]), len(p.block))
                for d, p in zip(draws, parts, strict=True)
            ])  # fmt: skip
            few = [np.array([v[k] for v in values]) for k in ("test_accuracy", key, "counted_fraction/0.25")]
            blocks = np.array([len(p.block) for p in parts])
            found.append(pearson(few[0], few[1], by, noise=Noise(noise, blocks)))
            counts.append(pearson(few[0], few[2], by).r)
        inside = [f.member_low <= truth <= f.member_high for f in found]
        fisher = [f.low <= truth <= f.high for f in found]
        print(
            f"r {where}: {truth:.3f} of all members (counted {counted_truth:.3f}); at few members "
            f"{', '.join(f'{f.r:.3f} [{f.member_low:.3f}, {f.member_high:.3f}]' for f in found)}; "
            f"counted {', '.join(f'{r:.3f}' for r in counts)}; member intervals that contain it "
            f"{sum(inside)} of {len(inside)}, Fisher's {sum(fisher)}"
        )
        figures |= {f"r_{where}": round(truth, 3), f"r_{where}_inside": round(float(np.mean(inside)), 3)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--store")
    parser.add_argument("--study")
    parser.add_argument("--members", type=int, default=40)
    arguments = parser.parse_args()
    figures = simulated(4 if arguments.quick else 25) | timed()
    if arguments.store:
        figures |= stored(arguments.store, arguments.study, arguments.members)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
