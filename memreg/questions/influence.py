"""Influence of training on test examples, from one cell's members."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.influence import (
    RATE,
    StrongPairs,
    histogram,
    members_for,
    members_needed,
    strong_pairs,
)
from memreg.registry import Registry, RunWriter
from memreg.scoring.members import read_members
from memreg.show import figures

THRESHOLD = 0.15
"""Feldman & Zhang's, for a substantial influence."""


@dataclass(frozen=True)
class Influence:
    cell: Cell
    members: int
    threshold: float
    strong: StrongPairs
    pairs: pd.DataFrame
    """As influence.parquet: those that chance does not explain, with their labels."""
    edges: Floats
    count: NDArray[np.int64]
    """Pairs by influence, in bins between `edges`."""
    takes: int
    """Members with which a pair at the threshold has even odds to be told from chance."""

    def in_words(self) -> str:
        s, train, test = self.strong, self.pairs["train"].nunique(), self.pairs["test"].nunique()
        words = (
            f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members: {s.above:,} of "
            f"{int(self.count.sum()):,} pairs of a training and a test example have an influence of "
            f"{self.threshold:g} or more, where chance alone gives {s.by_chance:,.0f}; {s.below:,} have one "
            f"of -{self.threshold:g} or less. "
        )
        told = f"can be told from chance at a false discovery rate of {RATE:.0%}"
        if s.chosen:
            words += f"{s.chosen:,} {told}, {train:,} training and {test:,} test examples among them."
        else:
            words += f"None {told}."
        if s.chosen > len(self.pairs):
            words += f" {len(self.pairs):,} of them are listed."
        if self.members < self.takes:
            words += f" Even odds to tell one of {self.threshold:g} take about {self.takes:,} members."
        return words


def influences(registry: Registry, cell: str, threshold: float = THRESHOLD) -> Influence:
    """Pairs above a threshold, how many of them chance gives, and how all pairs are distributed.

    Raises `MemregError` where there are too few members to tell any pair from chance.
    """
    what, members = registry.cell(cell), read_members(registry, cell)
    if members.included.all(0).any():
        raise MemregError(
            f"cell {cell} never leaves out some of its examples: influence takes a cell of design subsets"
        )
    k, n_train = members.included.shape
    size = n_train, members.correct_test.shape[1], float(members.included.mean())
    if k < (needed := members_needed(*size)):
        raise MemregError(
            f"cell {cell} has {k} members: even the clearest influence among its {n_train:,} x {size[1]:,} "
            f"pairs needs {needed} to be told from chance, and one of {threshold:g} about "
            f"{members_for(threshold, *size):,}"
        )
    strong = strong_pairs(members.included, members.correct_test, threshold)
    edges, count = histogram(members.included, members.correct_test)
    labels = registry.examples(cell)["label"].to_numpy()
    pairs = strong.table.copy()
    pairs.insert(2, "train_label", labels[pairs["train"]])
    pairs.insert(3, "test_label", labels[len(members.labels) + pairs["test"]])
    takes = members_for(threshold, *size)
    return Influence(what, k, threshold, strong, pairs, edges, count, takes)


def log_influence(run: RunWriter, result: Influence) -> None:
    """influence.parquet and figures/influence.png."""
    strong = result.strong
    metrics = {
        "members": result.members,
        "pairs": strong.chosen,
        "pairs_above": strong.above,
        "pairs_by_chance": strong.by_chance,
    }
    run.log(metrics=metrics, note=result.in_words())
    run.artifacts.put("influence.parquet", result.pairs.to_parquet)
    title = f"{result.cell.recipe.model} on {result.cell.dataset}, {result.members} members"
    figure = figures.influence(result.edges, result.count, result.threshold, strong.by_chance, title)
    run.artifacts.put("figures/influence.png", lambda path: figures.save(figure, path))
