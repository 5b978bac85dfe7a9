"""What every design has in common."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from memreg import random
from memreg.errors import MemregError

MASK, MEMBER, FIXED, START = 1, 2, 3, 4  # streams of one design seed


class BaseDesign(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**32)

    @abstractmethod
    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        """Inclusion mask of one member, shape [n]."""

    @abstractmethod
    def block(self, member: int) -> int:
        """The block a member belongs to: blocks are independent of each other, members of one are not."""

    @abstractmethod
    def size(self, n: int) -> int:
        """Nominal number of included examples: what an epoch, and so the number of steps, is counted in."""

    def check(self, n: int) -> None:
        """Raise `MemregError` if this design cannot be had with n training examples."""

    def member_seed(self, member: int) -> int:
        return random.seed(self.seed, MEMBER, member)


def _distinct(examples: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(examples)) < len(examples):
        raise ValueError("must not name an example twice")
    return examples


def _disjoint(groups: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    _distinct(tuple(example for group in groups for example in group))
    return tuple(sorted(tuple(sorted(group)) for group in groups if len(group) > 1))


Example = Annotated[int, Field(ge=0)]
Examples = Annotated[tuple[Example, ...], AfterValidator(_distinct)]
"""Indices of training examples."""
Neighbours = Annotated[tuple[tuple[Example, ...], ...], AfterValidator(_disjoint)]
"""Disjoint groups of training examples that are kept apart; equal groupings are equal values."""


def check_examples(what: str, examples: Iterable[int], n: int) -> None:
    """Raise `MemregError` unless every index is one of n training examples."""
    if (highest := max(examples, default=-1)) >= n:
        raise MemregError(f"{what}: there is no training example {highest}: they go from 0 to {n - 1}")


def dealt(
    examples: NDArray[np.int64], neighbours: Sequence[Sequence[int]], folds: int, step: int, *keys: int
) -> NDArray[np.int64]:
    """The fold of each example, shape of `examples`: at random, evenly, neighbours apart.

    Groups of neighbours in random order, each group's examples in random order, are dealt one to a
    fold: s, s + step, s + 2 step, ... (mod folds), with a random start s. So no two of a group are in the
    same fold unless it has more examples than there are folds, folds are equally large, within one, and
    each example is in each fold equally often. step and folds are coprime.
    """
    order = random.order(len(examples), *keys)
    place = np.empty(len(examples), np.int64)
    place[order] = np.arange(len(examples))
    where = {int(example): i for i, example in enumerate(examples)}
    group_place = place.copy()
    for group in neighbours:
        rows = [where[example] for example in group if example in where]
        group_place[rows] = group_place[rows[0]] if rows else 0
    fold = np.empty(len(examples), np.int64)
    start = random.order(folds, *keys, START)[0]
    fold[np.lexsort((place, group_place))] = (start + np.arange(len(examples)) * step) % folds
    return fold
