"""Do the intervals of r hold what they promise? Simulated grids whose r is known.

    python benchmarks/correlation.py [--quick]

`cells`: 19 cells drawn anew each time, their true values correlated by r: what Fisher's interval and that of
resampled cells are about; `within`: in three data sets of 7, 6 and 6 cells whose means pull the other way.
`data sets`: cells of data sets that are drawn anew and hold four fifths of the variance, which those
two intervals, pooled, are not about, and which resampled data sets are; not counted in the last line.
`members`: the same 19 cells trained again each time, every member's answer to every example drawn, at 40
members (4 blocks) and 200: what the member interval is about, and how often the corrected r's holds the
truth.
"""

import argparse
import json

import numpy as np
from scipy.special import expit

from memreg.design import Subsets
from memreg.estimators.bootstrap import covariance, replicates
from memreg.estimators.correlation import FEWEST_CLUSTERS, Noise, Pearson, pearson
from memreg.estimators.counts import Tally, tally
from memreg.estimators.summary import summarise

CELLS, EXAMPLES, TESTS = 19, 1300, 500
GROUPS = np.repeat([0, 1, 2], [7, 6, 6])
SPREAD = 0.25  # of members, in logits, half of its variance by the mask that cells share
STATISTICS = ("mean_score", "memorized_fraction/0.25", "memorized_fraction/0.50")


def covered(found: list[Pearson], kind: str, truth: float) -> float:
    low, high = f"{kind}low", f"{kind}high"
    return float(np.mean([getattr(f, low) <= truth <= getattr(f, high) for f in found]))


def over_cells(times: int) -> list[float]:
    """Coverages, printed."""
    rng, all_covered = np.random.default_rng(0), []
    print(f"{'cells drawn anew':30} {'median r':>9} {'Fisher':>8} {'cells':>8}")
    for r, groups in ((0, None), (-0.5, None), (-0.95, None), (0.6, GROUPS)):
        found = []
        for _ in range(times):
            x, e = rng.normal(size=(2, CELLS))
            y = r * x + np.sqrt(1 - r**2) * e
            if groups is not None:
                x, y = x + 4 * groups, y - 4 * groups
            found.append(pearson(x, y, groups))
        name = f"r = {r}" + ("" if groups is None else " within data sets")
        rates = [covered(found, kind, r) for kind in ("", "cell_")]
        print(f"{name:30} {np.median([f.r for f in found]):9.3f} {rates[0]:8.1%} {rates[1]:8.1%}")
        all_covered += rates
    return all_covered


def over_datasets(times: int) -> None:
    """Coverages, printed, of r over all data sets."""
    rng, between, inner, outer = np.random.default_rng(0), 0.8, -0.2, -0.8
    truth = between * outer + (1 - between) * inner
    print(f"\n{'data sets drawn anew':30} {'median r':>9} {'Fisher':>8} {'cells':>8} {'data sets':>10}")
    for sizes in ((7, 6, 6), (14, 3, 2), (4, 4, 4, 4, 3), (7, 3, 3, 2, 2, 2)):
        number, found = np.repeat(np.arange(len(sizes)), sizes), []
        for _ in range(times):
            x, e = rng.normal(size=(2, CELLS))
            a, b = rng.normal(size=(2, len(sizes)))
            y, b = inner * x + np.sqrt(1 - inner**2) * e, outer * a + np.sqrt(1 - outer**2) * b
            v = np.sqrt(between) * np.stack([a, b])[:, number] + np.sqrt(1 - between) * np.stack([x, y])
            found.append(pearson(v[0], v[1], clusters=number))
        rates = [covered(found, kind, truth) for kind in ("", "cell_", "cluster_")]
        last = f"{rates[2]:10.1%}" if len(sizes) >= FEWEST_CLUSTERS else f"{'-':>10}"
        r = np.median([f.r for f in found])
        print(f"{', '.join(map(str, sizes)) + ' cells':30} {r:9.3f} {rates[0]:8.1%} {rates[1]:8.1%} {last}")


class Cells:
    """19 cells, as logits: what they can (rising), scatter of excluded and of included examples around it."""

    def __init__(self, scatter: float) -> None:
        rng = np.random.default_rng(1)
        self.skill = np.linspace(1.0, 3.5, CELLS)
        self.train, self.test = rng.normal(scale=1.6, size=EXAMPLES), rng.normal(scale=1.6, size=TESTS)
        self.excluded = self.skill + scatter * rng.normal(size=CELLS)
        self.included = self.skill + 3.5 + scatter * rng.normal(size=CELLS)

    def truth(self) -> dict[str, float]:
        """r with infinitely many members."""
        at, weight = np.polynomial.hermite_e.hermegauss(15)

        def mean(logit: np.ndarray) -> np.ndarray:
            right: np.ndarray = expit(logit[..., None] + SPREAD * at) @ weight / weight.sum()
            return right

        x = mean(self.skill[:, None] - self.test).mean(1)
        p1, p0 = (mean(skill[:, None] - self.train) for skill in (self.included, self.excluded))
        score = p1 - p0
        ys = (score.mean(1), (score >= 0.25).mean(1), (score >= 0.5).mean(1))
        return {key: float(np.corrcoef(x, y)[0, 1]) for key, y in zip(STATISTICS, ys, strict=True)}

    def train_again(self, masks: np.ndarray, block: np.ndarray, rng: np.random.Generator) -> list[Tally]:
        members = len(masks)
        common = rng.normal(size=(members, 1))
        tallies = []
        for c in range(CELLS):
            luck = SPREAD * (common + rng.normal(size=(members, 1))) / np.sqrt(2)
            skill = np.where(masks, self.included[c], self.excluded[c])
            train = rng.random((members, EXAMPLES), np.float32) < expit(luck + skill - self.train)
            test = rng.random((members, TESTS), np.float32) < expit(luck + self.skill[c] - self.test)
            tallies.append(tally(masks, np.hstack([train, test]), block))
        return tallies


def over_members(members: int, times: int) -> list[float]:
    """Coverages of the member interval, printed."""
    design, all_covered = Subsets(r=0.7), []
    masks = np.stack([design.included(m, EXAMPLES) for m in range(members)])
    block = np.array([design.block(m) for m in range(members)])
    name = f"trained again, {members} members"
    print(f"\n{name:30} {'true r':>9} {'found':>8} {'members':>8} {'corrected':>10}")
    for scatter in (0.2, 0.8):
        cells, rng = Cells(scatter), np.random.default_rng(members)
        found: dict[str, list[Pearson]] = {key: [] for key in STATISTICS}
        for _ in range(times):
            tallies = cells.train_again(masks, block, rng)
            values, resampled = [summarise(t) for t in tallies], [replicates(t, 200) for t in tallies]
            blocks = np.array([len(t.block) for t in tallies])
            x = np.array([v["test_accuracy"] for v in values])
            for key in STATISTICS:
                sampled = [np.stack([s["test_accuracy"], s[key]]) for s in resampled]
                noise = np.stack([covariance(s, b) for s, b in zip(sampled, blocks, strict=True)])
                y = np.array([v[key] for v in values])
                found[key].append(pearson(x, y, noise=Noise(noise, blocks)))
        truth = cells.truth()
        for key in STATISTICS:
            again = float(np.tanh(np.mean(np.arctanh([f.r for f in found[key]]))))
            rate = covered(found[key], "member_", again)
            corrected = covered(found[key], "corrected_", truth[key])
            print(f"{key:30} {truth[key]:9.3f} {again:8.3f} {rate:8.1%} {corrected:10.1%}")
            all_covered.append(rate)
    return all_covered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rates = over_cells(500 if quick else 3000)
    over_datasets(500 if quick else 3000)
    rates += over_members(40, 60 if quick else 600)
    rates += over_members(200, 12 if quick else 120)
    print(json.dumps({"lowest_coverage": min(rates), "mean_coverage": float(np.mean(rates))}))


if __name__ == "__main__":
    main()
