"""`memreg influence`: which training examples help which test examples, from one cell (section 2.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
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
from memreg.registry import Registry
from memreg.requests.influence import Request
from memreg.scoring.outcomes import outcomes, some_without_each
from memreg.show import figures
from memreg.show.notes import answered


@dataclass(frozen=True)
class Influence:
    """What is answered."""

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

    @property
    def cells(self) -> list[str]:
        return [self.cell.hash]

    def metrics(self) -> Mapping[str, float]:
        return {
            "members": self.members,
            "pairs": self.strong.chosen,
            "pairs_above": self.strong.above,
            "pairs_by_chance": self.strong.by_chance,
        }

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {"influence.parquet": self.pairs}

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members"
        chance = self.strong.by_chance
        return {"influence": figures.influence(self.edges, self.count, self.threshold, chance, title)}

    def in_short(self) -> str:
        s, train, test = self.strong, self.pairs["train"].nunique(), self.pairs["test"].nunique()
        of = f"of {int(self.count.sum()):,} pairs of a training and a test example"
        pairs = f"{s.chosen:,}" if s.chosen else "none"
        among = f", of {train:,} training and {test:,} test examples" if s.chosen else ""
        return (
            f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members: {pairs} {of} can be "
            f"told from chance{among}. {s.above:,} have an influence of {self.threshold:g} or more, "
            f"where chance alone gives {s.by_chance:,.0f}."
        )

    def in_words(self) -> str:
        s = self.strong
        words = (
            f"{s.below:,} pairs have an influence of -{self.threshold:g} or less. Pairs are told from chance "
            f"at a false discovery rate of {RATE:.0%}."
        )
        if s.chosen > len(self.pairs):
            words += f" {len(self.pairs):,} of them are listed."
        if self.members < self.takes:
            words += f" Even odds to tell one of {self.threshold:g} take about {self.takes:,} members."
        numbers = [
            (f"{s.chosen:,}", "pairs that can be told from chance"),
            (f"{s.above:,}", f"pairs with an influence of {self.threshold:g} or more, as it is measured"),
            (f"{s.by_chance:,.0f}", "of those are what chance alone gives"),
            (f"{self.members:,}", "members, the networks that this is from"),
        ]
        return answered(self.in_short(), numbers, words)


def run(request: Request, registry: Registry) -> Influence:
    """Pairs above a threshold, how many of them chance gives, and how all pairs are distributed.

    Raises `MemregError` where there are too few members to tell any pair from chance.
    """
    cell, threshold = registry.cell(request.cell), request.threshold
    members = outcomes(cell)
    some_without_each(cell, members, "influence")
    k, n_train = members.included.shape
    size = n_train, members.correct_test.shape[1], float(members.included.mean())
    if k < (needed := members_needed(*size)):
        raise MemregError(
            f"{cell} has {k} members: even the clearest influence among its {n_train:,} x {size[1]:,} pairs "
            f"needs {needed} to be told from chance, and one of {threshold:g} about "
            f"{members_for(threshold, *size):,}"
        )
    strong = strong_pairs(members.included, members.correct_test, threshold)
    edges, count = histogram(members.included, members.correct_test)
    pairs, labels = strong.table.copy(), cell.given_labels
    pairs.insert(2, "train_label", labels[pairs["train"]])
    pairs.insert(3, "test_label", labels[n_train + pairs["test"]])
    return Influence(cell.cell, k, threshold, strong, pairs, edges, count, members_for(threshold, *size))
