"""Sums over members. They add up, so shards of members can be counted one at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Numbers = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Members that included each of n training examples, and got it right. All shapes are [..., n]."""

    included: Numbers
    included_correct: Numbers
    excluded: Numbers
    excluded_correct: Numbers

    def each(self, f: Callable[[Numbers], Numbers]) -> "Counts":
        return Counts(
            f(self.included),
            f(self.included_correct),
            f(self.excluded),
            f(self.excluded_correct),
        )

    @property
    def included_accuracy(self) -> Floats:
        """Pr[correct, included]: the first term of Equation 1; NaN where never included."""
        return _ratio(self.included_correct, self.included)

    @property
    def excluded_accuracy(self) -> Floats:
        """Pr[correct, excluded]: the second term of Equation 1; NaN where never excluded."""
        return _ratio(self.excluded_correct, self.excluded)

    @property
    def score(self) -> Floats:
        """Equation 1; NaN where never included or never excluded."""
        return self.included_accuracy - self.excluded_accuracy


@dataclass(frozen=True)
class Tally:
    """Everything that a cell's aggregates need, summed within blocks of members."""

    block: Numbers
    """Number of each block, ascending, shape [b]."""
    members: Numbers
    """Members counted in each block, shape [b]."""
    counts: Counts
    """Shape [b, n_train]."""
    test_correct: Floats
    """Sum over members of test accuracy, shape [b]; NaN without test examples."""

    @property
    def total(self) -> Counts:
        """Over all blocks, shape [n_train]."""
        return self.counts.each(lambda a: a.sum(0, dtype=np.int64))

    def part(self, keep: Mask) -> "Tally":
        """The blocks that are kept; keep: [b]."""
        return Tally(
            self.block[keep], self.members[keep], self.counts.each(lambda a: a[keep]), self.test_correct[keep]
        )

    def __add__(self, other: Self) -> "Tally":
        block = np.union1d(self.block, other.block)

        def merge(a: Numbers, b: Numbers) -> Numbers:
            out = np.zeros((len(block), *a.shape[1:]), a.dtype)
            out[np.searchsorted(block, self.block)] += a
            out[np.searchsorted(block, other.block)] += b
            return out

        mine, theirs = self.counts, other.counts
        return Tally(
            block,
            merge(self.members, other.members),
            Counts(
                merge(mine.included, theirs.included),
                merge(mine.included_correct, theirs.included_correct),
                merge(mine.excluded, theirs.excluded),
                merge(mine.excluded_correct, theirs.excluded_correct),
            ),
            merge(self.test_correct, other.test_correct),
        )


def tally(included: Mask, correct: Mask, block: Numbers) -> Tally:
    """Tally members.

    included: [members, n_train]; correct: [members, n_train + n_test], training first; block: [members].
    """
    numbers, inverse = np.unique(block, return_inverse=True)
    on_train = correct[:, : included.shape[1]]
    on_test = correct[:, included.shape[1] :]
    tests = on_test.shape[1] or np.nan  # imported members may come without
    test_accuracy = np.count_nonzero(on_test, axis=1) / tests
    rows = [np.flatnonzero(inverse == i) for i in range(len(numbers))]
    members = np.bincount(inverse, minlength=len(numbers))

    def by_block(values: Mask) -> Numbers:
        sums = np.zeros((len(rows), values.shape[1]), np.int32)
        for i, mine in enumerate(rows):
            own = values if len(rows) == 1 else values[mine]
            for first in range(0, len(own), 255):  # as many as a byte can count
                sums[i] += np.add.reduce(own[first : first + 255].view(np.uint8), axis=0, dtype=np.uint8)
        return sums

    inside, right, both = map(by_block, (included, on_train, included & on_train))
    counts = Counts(inside, both, members.astype(np.int32)[:, None] - inside, right - both)
    return Tally(
        numbers,
        members,
        counts,
        np.bincount(inverse, weights=test_accuracy, minlength=len(numbers)).astype(float),
    )


def half(block: Any) -> Any:
    """0 or 1: the half of a cell's members that a block belongs to (elementwise for arrays).

    What is chosen on one half and estimated on the other is not chosen for its noise. Members keep their
    half when a cell grows.
    """
    return block % 2


def _ratio(numerator: Numbers, denominator: Numbers) -> Floats:
    ratio = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
