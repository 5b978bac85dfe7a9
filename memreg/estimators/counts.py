"""Sums over members. They add up, so shards of members can be counted one at a time."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """For each of n training examples, how many members included it and got it right. All shapes [n]."""

    included: Ints
    included_correct: Ints
    excluded: Ints
    excluded_correct: Ints

    def __add__(self, other: Self) -> "Counts":
        return Counts(
            self.included + other.included,
            self.included_correct + other.included_correct,
            self.excluded + other.excluded,
            self.excluded_correct + other.excluded_correct,
        )

    @property
    def included_accuracy(self) -> NDArray[np.float64]:
        """Pr[correct, included]: the first term of Equation 1, shape [n]; NaN where never included."""
        return _ratio(self.included_correct, self.included)

    @property
    def excluded_accuracy(self) -> NDArray[np.float64]:
        """Pr[correct, excluded]: the second term of Equation 1, shape [n]; NaN where never excluded."""
        return _ratio(self.excluded_correct, self.excluded)


def count(included: Mask, correct: Mask) -> Counts:
    """Counts from members' inclusion masks and correctness on the training examples, both [members, n]."""
    n_included = included.sum(0, dtype=np.int64)
    n_correct = correct.sum(0, dtype=np.int64)
    n_both = (included & correct).sum(0, dtype=np.int64)
    return Counts(n_included, n_both, len(included) - n_included, n_correct - n_both)


def _ratio(numerator: Ints, denominator: Ints) -> NDArray[np.float64]:
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )
