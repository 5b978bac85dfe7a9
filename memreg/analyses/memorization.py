"""Section 3.2: the memorization scores of one cell."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import figures
from memreg.analyses.tallies import COLUMNS, tally_shards
from memreg.cell import Cell
from memreg.estimators.counts import Counts
from memreg.estimators.scores import scores
from memreg.estimators.summary import summarise
from memreg.registry import Registry, RunWriter
from memreg.registry.reader import labels


@dataclass(frozen=True)
class Memorization:
    cell: Cell
    scores: pd.DataFrame
    """As scores.parquet."""
    metrics: dict[str, float]

    def in_words(self) -> str:
        m = self.metrics
        return (
            f"{self.cell.recipe.model} on {self.cell.dataset}, {m['members']:.0f} members: mean score "
            f"{m['mean_score']:.4f}, {m['memorized_fraction/0.25']:.2%} of {len(self.scores):,} training "
            f"examples score 0.25 or more, {m['memorized_fraction/0.75']:.2%} score 0.75 or more; "
            f"median width of the 95 % intervals {np.nanmedian(self.scores.high - self.scores.low):.2f}."
        )


def score_table(counts: Counts, train_labels: NDArray[np.int64]) -> pd.DataFrame:
    """scores.parquet from counts; train_labels: [n_train]."""
    table = scores(counts)
    table.insert(0, "example", np.arange(len(table)))
    table.insert(1, "label", train_labels)
    return table


def rescore(registry: Registry, cell: str) -> Memorization:
    """Scores and aggregates of a stored cell, from its predictions alone."""
    run_id = registry.cell_run(cell).info.run_id
    what = registry.cell(run_id)
    examples = registry.examples(run_id)
    sums = tally_shards(registry.shards(run_id, COLUMNS), labels(examples))
    train_labels = examples.loc[examples["split"] == "train", "label"].to_numpy()
    return Memorization(what, score_table(sums.total, train_labels), summarise(sums))


def log_memorization(run: RunWriter, result: Memorization) -> None:
    """scores.parquet, figures/scores.png and the cell's aggregates."""
    run.log(metrics=result.metrics, note=result.in_words())
    run.artifacts.put("scores.parquet", result.scores.to_parquet)
    figure = figures.score_distribution(result.scores, f"{result.cell.recipe.model} on {result.cell.dataset}")
    run.artifacts.put("figures/scores.png", lambda path: figures.save(figure, path))
