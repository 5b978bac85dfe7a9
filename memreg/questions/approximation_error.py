"""Section 4.2: estimates of memorization scores against leave-one-out's."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.design import Spread, Subsets
from memreg.errors import MemregError
from memreg.estimators.approximation import Comparison, by_size, compare, numbered
from memreg.estimators.counts import Floats
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.outliers import spp_by_error, spp_sums
from memreg.prediction import diverged
from memreg.questions.memorization import score_table
from memreg.registry import Registry, RunWriter
from memreg.scoring.leave_one_out import in_halves, leave_out_design, truth_scores
from memreg.show import figures

NAMED = (0.25, 0.45)
"""The paper's thresholds."""
CHOSEN = " (its members chose the targets)"
"""In the name of an estimate that selection favours: what is chosen for a high estimate has one too high."""


@dataclass(frozen=True)
class Estimate:
    """One way to estimate the targets' scores."""

    name: str
    scores: pd.DataFrame
    """A row per training example."""


@dataclass(frozen=True)
class ApproximationError:
    truth: pd.DataFrame
    """Scores of the targets by leave-one-out, in the columns of scores.parquet."""
    estimates: tuple[Estimate, ...]
    """The first is the headline's."""
    comparisons: dict[str, Comparison]
    """By name of the estimate."""
    sets: pd.DataFrame
    """By `estimate` and `threshold`: targets in the `set` of the memorized at a false discovery rate of
    5 %, and those among them that leave-one-out puts below the threshold."""
    by_size: pd.DataFrame | None
    """By `estimate` and `size`, where sub-populations were planted."""
    spp: pd.DataFrame
    cell: Cell
    """Of the first estimate."""
    cells: tuple[str, ...]
    """Hashes of all that were compared."""

    @property
    def headline(self) -> Comparison:
        return self.comparisons[self.estimates[0].name]

    def targets(self) -> pd.DataFrame:
        """A row per estimate and target: both scores with their intervals, and the error."""
        own = self.truth[["example", "label"]].reset_index(drop=True)
        for key, name in (("score", "truth"), ("low", "truth_low"), ("high", "truth_high")):
            own[name] = self.truth[key].to_numpy()
        parts = []
        for estimate in self.estimates:
            rows = estimate.scores.iloc[own["example"]].reset_index(drop=True)
            part = own.assign(
                estimate=estimate.name, score=rows["score"], score_low=rows["low"], score_high=rows["high"]
            )
            parts.append(part.assign(error=part["score"] - part["truth"]))
        return pd.concat(parts)

    def in_words(self) -> str:
        m = self.headline.metrics
        table = self.headline.thresholds.set_index("threshold")
        wrong = "; ".join(
            f"at a threshold of {t:.0%}, {_percent(row.false_positives)} of those marked are false positives "
            f"[{_percent(row.false_positives_low)}, {_percent(row.false_positives_high)}] (by noise alone "
            f"{_percent(row.false_positives_noise)})"
            for t, row in table.loc[list(NAMED)].iterrows()
        )
        others = "".join(
            f"\n{name}: mean absolute error {c.metrics['mean_absolute_error']:.3f}, mean error "
            f"{c.metrics['mean_error']:+.3f}, within 5 % {c.metrics['within_0.05']:.1%}."
            for name, c in list(self.comparisons.items())[1:]
        )
        return (
            f"{self.estimates[0].name} against leave-one-out on {m['targets']:.0f} targets: "
            f"{m['within_0.05']:.1%} within 5 % [{m['within_0.05_low']:.1%}, {m['within_0.05_high']:.1%}], "
            f"where noise alone would allow {m['within_0.05_noise']:.1%}; {m['consistent']:.0%} no farther "
            f"apart than their intervals allow; mean error {m['mean_error']:+.3f} "
            f"[{m['mean_error_low']:+.3f}, {m['mean_error_high']:+.3f}], mean absolute error "
            f"{m['mean_absolute_error']:.3f} (noise alone {m['mean_absolute_error_noise']:.3f}), largest "
            f"{m['largest_error']:.2f}; {wrong}.{others}"
        )


def approximation_error(registry: Registry, subset_cells: str, loo_cell: str) -> ApproximationError:
    """Compare estimates with leave-one-out, on the targets of a leave-out cell.

    subset_cells: `CELL[:ESTIMATOR],...`, estimators as `Registry.scores` knows them. The first cell's
    estimate is also given for each half of its members. Where the targets were chosen by its first half, the
    headline is the second half's, and the names of estimates from all members say so.
    """
    run = registry.cell_run(loo_cell)
    what = registry.cell(run.info.run_id)
    targets = list(leave_out_design(what).targets)
    cells: list[Cell] = []
    estimates: list[Estimate] = []
    for text in subset_cells.split(","):
        name, _, estimator = text.strip().partition(":")
        cell = registry.cell(name)
        if (cell.dataset_fingerprint, cell.recipe) != (what.dataset_fingerprint, what.recipe):
            raise MemregError(
                f"cell {name} differs from cell {loo_cell} in its data set or recipe: their scores cannot "
                "be compared"
            )
        chosen = cell.hash[:12] in run.data.tags.get("memreg.targets", "")
        own = _name(cell, estimator)
        if own in {e.name for e in estimates}:
            own = f"{own}, {cell.hash[:8]}"
        whole = Estimate(own + CHOSEN * chosen, registry.scores(name, estimator or None))
        halves = _halves(registry, cell) if not cells and (chosen or not estimator) else []
        estimates += [halves[1], whole, halves[0]] if chosen and halves else [whole, *halves]
        cells.append(cell)
    truth = truth_scores(registry, what.hash).iloc[targets]
    planted = _planted(registry.examples(loo_cell))
    groups = None if planted is None else numbered(*(column[targets] for column in planted))
    comparisons = {}
    for e in estimates:
        if e.name in comparisons:
            raise MemregError(f"subset_cell={subset_cells} names the same estimate twice")
        scores = e.scores.iloc[targets]
        if not (scores["score"].notna() & truth["score"].notna()).any():
            raise MemregError(f"{e.name} has no score for any target of cell {loo_cell}")
        comparisons[e.name] = compare(scores, truth, groups)
    sizes = [] if planted is None else [_by_size(e, truth, *planted) for e in estimates]
    spp = _spp(registry, cells[0].hash, np.array(targets))
    error = (estimates[0].scores["score"].iloc[targets] - truth["score"]).to_numpy()
    return ApproximationError(
        truth,
        tuple(estimates),
        comparisons,
        pd.concat([_sets(e, truth) for e in estimates]),
        pd.concat(sizes) if sizes else None,
        spp_by_error(spp, error, truth["score"].to_numpy()),
        cells[0],
        (what.hash, *(cell.hash for cell in cells)),
    )


def log_approximation_error(run: RunWriter, result: ApproximationError) -> None:
    """The headline's figures as metrics; tables; approximation_error.png and error_by_group_size.png."""
    headline, first = result.headline, result.estimates[0]
    metrics = dict(headline.metrics)
    for row in headline.thresholds.to_dict("records"):
        for key in ("false_positives", "false_negatives"):
            for suffix in ("", "_low", "_high", "_noise"):
                metrics[f"{key}{suffix}/{row['threshold']:.2f}"] = row[key + suffix]
    for row in result.spp[result.spp["stratum"] == "all"].to_dict("records"):
        metrics |= {f"spp_{row['error']}": row["spp"], f"spp_{row['error']}_sd": row["sd"]}
    run.log(metrics=metrics, note=result.in_words())
    targets = result.targets()
    tables = {
        "targets": targets,
        "errors": pd.DataFrame([{"estimate": n, **c.metrics} for n, c in result.comparisons.items()]),
        "thresholds": pd.concat([c.thresholds.assign(estimate=n) for n, c in result.comparisons.items()]),
        "memorized_sets": result.sets,
        "spp": result.spp,
    }
    figure = figures.approximation_error(
        targets[targets["estimate"] == first.name], headline.metrics, headline.thresholds, first.name
    )
    run.artifacts.put("figures/approximation_error.png", lambda path: figures.save(figure, path))
    if result.by_size is not None:
        tables["by_group_size"] = result.by_size
        by_size_figure = figures.error_by_group_size(result.by_size)
        run.artifacts.put("figures/error_by_group_size.png", lambda path: figures.save(by_size_figure, path))
    for name, table in tables.items():
        run.artifacts.put(f"{name}.parquet", table.reset_index(drop=True).to_parquet)


def _halves(registry: Registry, cell: Cell) -> list[Estimate]:
    own = registry.scores(cell.hash)["label"].to_numpy()
    names = ("first half", "second half")
    counts = in_halves(registry, cell.hash)
    return [
        Estimate(f"{_name(cell)}, {name}", score_table(c, own)) for name, c in zip(names, counts, strict=True)
    ]


def _name(cell: Cell, estimator: str = "") -> str:
    """What a figure calls an estimate."""
    design = cell.design
    r = f" r = {design.r:g}" if isinstance(design, Subsets | Spread) else ""
    if estimator == "extrapolation":
        r = ""
    return f"{design.kind}{r}" + (f", {estimator}" if estimator else "")


def _planted(examples: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Group of each training example, and its size (0 for ordinary ones)."""
    if "group" not in examples:
        return None
    group = examples.loc[examples["split"] == "train", "group"].to_numpy()
    sizes = np.bincount(group[group >= 0])
    return group, np.where(group >= 0, sizes[group], 0)


def _by_size(
    estimate: Estimate, truth: pd.DataFrame, group: NDArray[np.int64], size: NDArray[np.int64]
) -> pd.DataFrame:
    rows = truth["example"].to_numpy()
    error = estimate.scores["score"].to_numpy()[rows] - truth["score"].to_numpy()
    return by_size(error, size[rows], group[rows]).assign(estimate=estimate.name)


def _sets(estimate: Estimate, truth: pd.DataFrame) -> pd.DataFrame:
    """Targets in the estimate's memorized set, and how many of them are not memorized."""
    rows = []
    if "included_count" not in estimate.scores:
        return pd.DataFrame()
    for threshold in NAMED:
        chosen = memorized_set(estimate.scores, threshold)[truth["example"]]
        false = int((chosen & (truth["score"] < threshold).to_numpy()).sum())
        rows.append(
            {"estimate": estimate.name, "threshold": threshold, "set": int(chosen.sum()), "false": false}
        )
    return pd.DataFrame(rows)


def _spp(registry: Registry, cell: str, targets: NDArray[np.int64]) -> Floats:
    """Mean maximum softmax probability of each target where it was excluded, shape [targets]."""
    total, count = np.zeros((2, len(targets)))
    for shard in registry.shards(cell, ("included", "predicted", "p_max")):
        kept = ~diverged(shard["predicted"])
        sums = spp_sums(shard["included"][kept][:, targets], shard["p_max"][kept][:, targets])
        total, count = total + sums[0], count + sums[1]
    return total / np.where(count > 0, count, np.nan)


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{share:.0%}"
