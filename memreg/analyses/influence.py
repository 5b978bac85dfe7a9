"""Influence of training on test examples, from one cell's members."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import figures
from memreg.analyses.members import read_members
from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.influence import StrongPairs, histogram, strong_pairs
from memreg.registry import Registry, RunWriter

THRESHOLD = 0.15
"""Feldman & Zhang's, for a substantial influence."""


@dataclass(frozen=True)
class Influence:
    cell: Cell
    members: int
    threshold: float
    strong: StrongPairs
    pairs: pd.DataFrame
    """As influence.parquet: the strongest, with their labels."""
    edges: Floats
    count: NDArray[np.int64]
    """Pairs by influence, in bins between `edges`."""

    def in_words(self) -> str:
        s = self.strong
        kept = "" if s.above == len(self.pairs) else f" The strongest {len(self.pairs):,} are listed."
        return (
            f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members: {s.above:,} of "
            f"{int(self.count.sum()):,} pairs of a training and a test example have an influence of "
            f"{self.threshold:g} or more, {s.train:,} training and {s.test:,} test examples among them; "
            f"{s.below:,} pairs have one of -{self.threshold:g} or less.{kept}"
        )


def influences(registry: Registry, cell: str, threshold: float = THRESHOLD) -> Influence:
    """Pairs above a threshold, and how all pairs are distributed."""
    what, members = registry.cell(cell), read_members(registry, cell)
    if members.included.all(0).any():
        raise MemregError(
            f"cell {cell} never leaves out some of its examples: influence takes a cell of design subsets"
        )
    strong = strong_pairs(members.included, members.correct_test, threshold)
    edges, count = histogram(members.included, members.correct_test)
    labels = registry.examples(cell)["label"].to_numpy()
    pairs = strong.table.copy()
    pairs.insert(2, "train_label", labels[pairs["train"]])
    pairs.insert(3, "test_label", labels[len(members.labels) + pairs["test"]])
    return Influence(what, len(members.included), threshold, strong, pairs, edges, count)


def log_influence(run: RunWriter, result: Influence) -> None:
    """influence.parquet and figures/influence.png."""
    run.log(metrics={"members": result.members, "pairs": result.strong.above}, note=result.in_words())
    run.artifacts.put("influence.parquet", result.pairs.to_parquet)
    title = f"{result.cell.recipe.model} on {result.cell.dataset}, {result.members} members"
    figure = figures.influence(result.edges, result.count, result.threshold, title)
    run.artifacts.put("figures/influence.png", lambda path: figures.save(figure, path))
