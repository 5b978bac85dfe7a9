"""Section 3.2: the memorization scores of one cell."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.estimators.counts import Counts
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.mixture import FEWEST
from memreg.estimators.scores import THRESHOLDS, scores
from memreg.estimators.summary import (
    HEADLINE,
    bound_keys,
    counted_key,
    fraction_key,
    summarise,
    summarise_scores,
)
from memreg.registry import Registry, RunWriter
from memreg.registry.reader import labels, scores_name
from memreg.scoring.tallies import COLUMNS, tally_shards
from memreg.show import figures

SET = "memorized_set/0.25"
RANKS = ("shrunk",)
"""Estimators whose scores rank examples: neither a mean nor a share above a threshold is taken of them."""


@dataclass(frozen=True)
class Memorization:
    cell: Cell
    scores: pd.DataFrame
    """As scores.parquet."""
    metrics: dict[str, float]
    """Those of a cell; and `memorized_set/0.25`, the share of examples whose score is above 0.25 with a false
    discovery rate of 5 %, where the scores have counts."""
    estimator: str | None = None
    """None is Feldman & Zhang's."""

    def in_words(self) -> str:
        m = self.metrics
        by = f", by {self.estimator}" if self.estimator else ""
        what = f"{self.cell.recipe.model} on {self.cell.dataset}, {m['members']:.0f} members{by}: "
        said = (
            f"scores of {len(self.scores):,} training examples, to rank them by; no mean and no share above "
            "a threshold is to be taken of them."
            if self.estimator in RANKS
            else f"mean score {m['mean_score']:.4f} over {len(self.scores):,} training examples. "
            + memorized_in_words(m)
        )
        width = np.nanmedian(self.scores.high - self.scores.low)
        return f"{what}{said} Median width of the scores' 95 % intervals: {width:.2f}.{self._of_peers()}"

    def _of_peers(self) -> str:
        if "detectable" not in self.metrics:
            return ""
        return (
            f" {(self.scores['peers'] > 0).mean():.1%} of the examples have a peer that was found; one whose "
            f"effect on accuracy is less than {self.metrics['detectable']:.2f} (median) would not be."
        )


def memorized_in_words(metrics: Mapping[str, float]) -> str:
    """What share of the examples is memorized, and what was counted, from a cell's metrics."""
    counted = f"{metrics[counted_key(HEADLINE)]:.2%} of the noisy scores are {HEADLINE} or more"
    share = metrics.get(fraction_key(HEADLINE))
    if share is None:
        return f"{counted[0].upper()}{counted[1:]}, which is not the share of the true ones."
    if np.isnan(share):
        return (
            f"The memorized fraction is withheld: it takes {FEWEST} members that include an example and "
            f"{FEWEST} that exclude it. {counted}."
        )
    low, high = (metrics[key] for key in bound_keys(HEADLINE))
    return (
        f"{share:.2%} [{low:.2%}, {high:.2%}] of the examples are memorized (true score {HEADLINE} or more); "
        f"{counted}."
    )


def score_table(counts: Counts, train_labels: NDArray[np.int64]) -> pd.DataFrame:
    """scores.parquet from counts; train_labels: [n_train]."""
    return numbered(scores(counts), train_labels)


def numbered(table: pd.DataFrame, labels: NDArray[np.int64]) -> pd.DataFrame:
    """A row per training example with its `example` and `label` in front; labels: training first."""
    table.insert(0, "example", np.arange(len(table)))
    table.insert(1, "label", labels[: len(table)])
    return table


def rescore(registry: Registry, cell: str) -> Memorization:
    """Feldman & Zhang's scores and aggregates of a stored cell, from its predictions alone.

    Raises `MemregError` where no example is both included and left out.
    """
    run_id = registry.cell_run(cell).info.run_id
    what = registry.cell(run_id)
    examples = registry.examples(run_id)
    sums = tally_shards(registry.shards(run_id, COLUMNS), labels(examples))
    train_labels = examples.loc[examples["split"] == "train", "label"].to_numpy()
    table = score_table(sums.total, train_labels)
    if table["score"].isna().all():
        raise MemregError(
            f"cell {cell} has no scores: no example of it is both included and left out; name one of subsets"
        )
    return Memorization(what, table, summarise(sums) | _in_set(table))


def with_scores(result: Memorization, estimator: str, table: pd.DataFrame) -> Memorization:
    """The same cell by another estimator, whose scores are counted as they are.

    `fallback` is the share of examples for which that fell back, `detectable` the median over examples.
    """
    own = {SET, *map(fraction_key, THRESHOLDS), *bound_keys(HEADLINE)}
    metrics = {key: value for key, value in result.metrics.items() if key not in own}
    summary = summarise_scores(table["score"].to_numpy())
    metrics = {key: value for key, value in metrics.items() if key not in summary}
    if estimator not in RANKS:
        metrics |= summary
    if "included_count" in table:
        metrics |= _in_set(table)
    if "fallback" in table:
        metrics["fallback"] = float(table["fallback"].mean())
    if "detectable" in table:
        metrics["detectable"] = float(table["detectable"].median())
    return Memorization(result.cell, table, metrics, estimator)


def _in_set(table: pd.DataFrame) -> dict[str, float]:
    return {SET: float(memorized_set(table, 0.25).mean())}


def log_memorization(run: RunWriter, result: Memorization) -> None:
    """The scores under their estimator's name, figures/scores.png and the cell's aggregates."""
    run.log(metrics=result.metrics, note=result.in_words())
    run.artifacts.put(scores_name(result.estimator), result.scores.to_parquet)
    figure = figures.score_distribution(result.scores, f"{result.cell.recipe.model} on {result.cell.dataset}")
    run.artifacts.put("figures/scores.png", lambda path: figures.save(figure, path))
