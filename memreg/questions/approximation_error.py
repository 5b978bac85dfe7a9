"""`memreg approximation_error`: estimates of memorization scores against leave-one-out's (section 4.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.data.stored import images_of
from memreg.design import Spread, Subsets
from memreg.errors import MemregError
from memreg.estimators.approximation import Comparison, by_size, compare, group_numbers
from memreg.estimators.coinfluence import co_influence
from memreg.estimators.counts import Floats
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.outliers import spp_by_error, spp_sums
from memreg.estimators.scores import score_table
from memreg.estimators.threshold import reaches
from memreg.registry import Registry, StoredCell
from memreg.requests.approximation_error import Request
from memreg.scoring.leave_one_out import in_halves, leave_out_design, truth_scores
from memreg.scoring.outcomes import outcomes
from memreg.show import figures
from memreg.show.figures.pictures import Picture
from memreg.show.labelled import label_in_words
from memreg.show.notes import answered

NAMED = (0.25, 0.45)
"""The paper's thresholds."""
CHOSEN = " (its members chose the targets)"
"""In the name of an estimate that selection favours: what is chosen for a high estimate has one too high."""
ROWS, NEAREST = 6, 6
"""Of the paper's Figure 1: targets, and training images beside each."""


@dataclass(frozen=True)
class Estimate:
    """One way to estimate the targets' scores."""

    name: str
    scores: pd.DataFrame
    """A row per training example."""


@dataclass(frozen=True)
class ApproximationError:
    """What is answered."""

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
    cells: tuple[str, ...]
    """Hashes of all that were compared."""
    pictures: Figure | str
    """The paper's Figure 1, or why it is left out."""

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

    def in_short(self) -> str:
        return self._answer() + self._of_others()

    def _answer(self) -> str:
        m = self.headline.metrics
        return (
            f"{self.estimates[0].name} against leave-one-out on {m['targets']:.0f} targets: "
            f"{m['within_0.05']:.1%} within 5 % [{m['within_0.05_low']:.1%}, {m['within_0.05_high']:.1%}], "
            f"where noise alone would allow {m['within_0.05_noise']:.1%}; mean absolute error "
            f"{m['mean_absolute_error']:.3f} (noise alone {m['mean_absolute_error_noise']:.3f})."
        )

    def _of_others(self) -> str:
        return "".join(
            f"\n{name}: mean absolute error {c.metrics['mean_absolute_error']:.3f}, mean error "
            f"{c.metrics['mean_error']:+.3f}, within 5 % {c.metrics['within_0.05']:.1%}."
            for name, c in list(self.comparisons.items())[1:]
        )

    def in_words(self) -> str:
        m = self.headline.metrics
        table = self.headline.thresholds.set_index("threshold")
        wrong = "; ".join(
            f"at a threshold of {t:.0%}, {_percent(row.false_positives)} of those marked are false positives "
            f"[{_percent(row.false_positives_low)}, {_percent(row.false_positives_high)}] (by noise alone "
            f"{_percent(row.false_positives_noise)})"
            for t, row in table.loc[list(NAMED)].iterrows()
        )
        without = isinstance(self.pictures, str)
        left_out = f"\n\nfigures/subpopulations.png is left out: {self.pictures}" if without else ""
        full = (
            f"{self.estimates[0].name} against leave-one-out: {m['consistent']:.0%} of the targets no "
            f"farther apart than their intervals allow; mean error {m['mean_error']:+.3f} "
            f"[{m['mean_error_low']:+.3f}, {m['mean_error_high']:+.3f}], mean absolute error "
            f"{m['mean_absolute_error']:.3f} (noise alone {m['mean_absolute_error_noise']:.3f}), largest "
            f"{m['largest_error']:.2f}; {wrong}.\n{self._of_others()}{left_out}"
        )
        within = f"{m['within_0.05']:.0%} [{m['within_0.05_low']:.0%}, {m['within_0.05_high']:.0%}]"
        mean = f"{m['mean_error']:+.3f} [{m['mean_error_low']:+.3f}, {m['mean_error_high']:+.3f}]"
        noise = f"where noise alone gives {m['mean_absolute_error_noise']:.3f}"
        numbers = [
            (within, f"of the targets within 5 %, where noise alone allows {m['within_0.05_noise']:.0%}"),
            (f"{m['mean_absolute_error']:.3f}", f"mean absolute error of a score, {noise}"),
            (mean, "mean error: above 0, scores are overestimated"),
            (f"{m['targets']:.0f}", "targets, examples with a leave-one-out score"),
        ]
        return answered(self._answer(), numbers, full)

    def metrics(self) -> Mapping[str, float]:
        """The headline's figures."""
        found = dict(self.headline.metrics)
        for row in self.headline.thresholds.to_dict("records"):
            for key in ("false_positives", "false_negatives"):
                for suffix in ("", "_low", "_high", "_noise"):
                    found[f"{key}{suffix}/{row['threshold']:.2f}"] = row[key + suffix]
        for row in self.spp[self.spp["stratum"] == "all"].to_dict("records"):
            found |= {f"spp_{row['error']}": row["spp"], f"spp_{row['error']}_sd": row["sd"]}
        return found

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        several = self.comparisons.items()
        tables = {
            "targets": self.targets(),
            "errors": pd.DataFrame([{"estimate": name, **c.metrics} for name, c in several]),
            "thresholds": pd.concat([c.thresholds.assign(estimate=name) for name, c in several]),
            "memorized_sets": self.sets,
            "spp": self.spp,
        }
        if self.by_size is not None:
            tables["by_group_size"] = self.by_size
        return {f"{name}.parquet": table.reset_index(drop=True) for name, table in tables.items()}

    def figures(self) -> Mapping[str, Figure]:
        first = self.estimates[0].name
        own = self.targets().query("estimate == @first")
        drawn = {
            "approximation_error": figures.approximation_error(
                own, self.headline.metrics, self.headline.thresholds, first
            )
        }
        if self.by_size is not None:
            drawn["error_by_group_size"] = figures.error_by_group_size(self.by_size)
        if isinstance(self.pictures, Figure):
            drawn["subpopulations"] = self.pictures
        return drawn


def run(request: Request, registry: Registry) -> ApproximationError:
    """Compare estimates with leave-one-out, on the targets of a leave-out cell.

    The first cell's estimate is also given for each half of its members. Where the targets were chosen by its
    first half, the headline is the second half's, and the names of estimates from all members say so.
    """
    without = registry.cell(request.loo_cell)
    targets = np.array(leave_out_design(without.cell).targets)
    cells, estimates = _estimates(request, without)
    truth = truth_scores(without).iloc[targets]
    planted = _planted(without.examples)
    groups = None if planted is None else group_numbers(*(column[targets] for column in planted))
    comparisons: dict[str, Comparison] = {}
    for e in estimates:
        if e.name in comparisons:
            raise MemregError(f"subset_cell={request.subset_cell} names the same estimate twice")
        scores = e.scores.iloc[targets]
        if not (scores["score"].notna() & truth["score"].notna()).any():
            raise MemregError(f"{e.name} has no score for any target of {without}")
        comparisons[e.name] = compare(scores, truth, groups)
    sizes = [] if planted is None else [_by_size(e, truth, *planted) for e in estimates]
    error = (estimates[0].scores["score"].iloc[targets] - truth["score"]).to_numpy()
    return ApproximationError(
        truth,
        tuple(estimates),
        comparisons,
        pd.concat([_sets(e, truth) for e in estimates]),
        pd.concat(sizes) if sizes else None,
        spp_by_error(_spp(cells[0], targets), error, truth["score"].to_numpy()),
        (without.hash, *(cell.hash for cell in cells)),
        _pictures(cells[0], estimates[0], truth, request),
    )


def _estimates(request: Request, without: StoredCell) -> tuple[list[StoredCell], list[Estimate]]:
    """The cells that are named, and their estimates, of which the first is the headline's."""
    cells: list[StoredCell] = []
    estimates: list[Estimate] = []
    for text in request.subset_cell.split(","):
        name, _, estimator = text.strip().partition(":")
        stored = without.registry.cell(name)
        cell, what = stored.cell, without.cell
        if not cell.trains_like(what):
            raise MemregError(
                f"{stored} differs from {without} in its data set or recipe: their scores cannot be compared"
            )
        chosen = stored.hash[:12] in without.tags.get("memreg.targets", "")
        own = _name(cell, estimator)
        if own in {e.name for e in estimates}:
            own = f"{own}, {cell.hash[:8]}"
        whole = Estimate(own + CHOSEN * chosen, stored.scores(estimator or None))
        halves = _halves(stored) if not cells and (chosen or not estimator) else []
        estimates += [halves[1], whole, halves[0]] if chosen and halves else [whole, *halves]
        cells.append(stored)
    return cells, estimates


def _halves(stored: StoredCell) -> list[Estimate]:
    names = ("first half", "second half")
    return [
        Estimate(f"{_name(stored.cell)}, {name}", score_table(counts, stored.labels))
        for name, counts in zip(names, in_halves(stored), strict=True)
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
        false = int((chosen & ~reaches(truth["score"].to_numpy(), threshold)).sum())
        rows.append(
            {"estimate": estimate.name, "threshold": threshold, "set": int(chosen.sum()), "false": false}
        )
    return pd.DataFrame(rows)


def _spp(cell: StoredCell, targets: NDArray[np.int64]) -> Floats:
    """Mean maximum softmax probability of each target where it was excluded, shape [targets]."""
    total, count = np.zeros((2, len(targets)))
    for shard in cell.shards("included", "predicted", "p_max"):
        members = shard.kept()
        sums = spp_sums(members.included[:, targets], members.p_max[:, targets].astype(float))
        total, count = total + sums[0], count + sums[1]
    return total / np.where(count > 0, count, np.nan)


def _pictures(cell: StoredCell, first: Estimate, truth: pd.DataFrame, request: Request) -> Figure | str:
    """Figure 1: targets whose score is overestimated most, and the training images that teach a network most
    about each while it is left out itself. In words why not, where the data set's images are not there."""
    try:
        dataset = images_of(cell.cell, request.data_dir, request.dataset)
    except MemregError as error:
        return str(error)
    own = first.scores.iloc[truth["example"]]
    table = pd.DataFrame({"score": own["score"].to_numpy(), "truth": truth["score"].to_numpy()})
    table.index = pd.Index(truth["example"].to_numpy())
    worst = table.loc[(table["score"] - table["truth"]).nlargest(ROWS).index]
    members = outcomes(cell)
    targets, everyone = worst.index.to_numpy(), np.arange(dataset.n_train)
    found = co_influence(members.included, members.correct_train, targets, everyone)

    def picture(example: int, text: str) -> Picture:
        return dataset.train_images[example], f"{label_in_words(cell, example)}\n{text}"

    rows = []
    for k, (example, row) in enumerate(worst.iterrows()):
        nearest = np.argsort(-found.evidence[k], kind="stable")[:NEAREST]
        head = picture(int(str(example)), f"{row['score']:.2f}, true {row['truth']:.2f}")
        rows.append((head, [picture(j, f"{found.effect[k, j]:+.2f}") for j in nearest]))
    return figures.subpopulations(rows)


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{share:.0%}"
