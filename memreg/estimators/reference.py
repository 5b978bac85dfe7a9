"""What the members of all other blocks tell of an example: medians and variances of its margins, by those
that were trained with it and by those that were not.

A member is attacked by the members of other blocks, since those of one block share a permutation. Members
stand in blocks, [q, n, b]: the j-th member of each of b blocks, of which the largest has q. A block that has
fewer is filled up with members that are neither with an example nor without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Floats, Mask

Keys = NDArray[np.int16]
CHUNK = 500_000  # of members x examples that are held at once in float64
NONE = np.int16(2**15 - 1)
"""Above the key of every number."""
ROUNDED = 2.0**-9 / np.sqrt(3.0)
"""Standard deviation, relative to a margin, of what its storage rounds off: none is taken to be less."""
LEAST = 1e-4
"""And this, for margins around 0."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where members stand: `place` [q, b] has their indices, `there` whether there is one."""

    place: NDArray[np.int64]
    there: Mask

    @classmethod
    def of(cls, block: NDArray[np.int64]) -> "Blocks":
        """block: of each member, [k]."""
        _, number, count = np.unique(block, return_inverse=True, return_counts=True)
        order = np.argsort(number, kind="stable")
        within = np.arange(len(block)) - np.repeat(np.cumsum(count) - count, count)
        place = np.zeros((count.max(), len(count)), np.int64)
        there = np.zeros(place.shape, bool)
        place[within, number[order]], there[within, number[order]] = order, True
        return cls(place, there)

    @classmethod
    def and_none_of(cls, block: NDArray[np.int64]) -> "Blocks":
        """And behind them a block of no members, to which all others are all members."""
        own = cls.of(block)
        return cls(np.pad(own.place, ((0, 0), (0, 1))), np.pad(own.there, ((0, 0), (0, 1))))

    def arrange(self, values: NDArray[Any]) -> NDArray[Any]:
        """[k, n] as [q, n, b]."""
        return np.ascontiguousarray(values[self.place].transpose(0, 2, 1))

    def restore(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """[q, n, b] into `out`, [k, n]."""
        for place, there, own in zip(self.place, self.there, values, strict=True):
            out[place[there]] = own.T[there]

    def chunks(self, n: int) -> Iterator[slice]:
        """Examples that are looked at together."""
        step = max(1, CHUNK // self.place.size)
        return (slice(first, min(first + step, n)) for first in range(0, n, step))


@dataclass(frozen=True, eq=False)
class Side:
    """Of the margins of members with an example (or without it), all but one block's, [n, b]."""

    count: NDArray[np.int64]
    median: Floats
    variance: Floats
    """About the mean, divided by the count. NaN for fewer than two."""

    @property
    def of_all(self) -> "Side":
        """Of all members, [n, 1], where `Blocks.and_none_of` arranged them."""
        return Side(self.count[:, -1:], self.median[:, -1:], self.variance[:, -1:])

    @property
    def spread(self) -> Floats:
        """Standard deviation, no less than what storage rounds off."""
        least = np.maximum(np.abs(self.median) * ROUNDED, LEAST)
        spread: Floats = np.maximum(np.sqrt(self.variance), least)
        return spread


def side(margin: NDArray[np.float16], on: Mask) -> Side:
    """margin, on: [q, n, b]; on: the members that count."""
    key = np.where(on, sort_key(margin), NONE)
    count = on.sum(0)
    others = count.sum(1, keepdims=True) - count
    exact = margin.astype(np.float64)
    total = np.einsum("qnb,qnb->nb", exact, on)
    centre = total.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)
    off = np.where(on, exact - centre, 0)
    first, second = off.sum(0), np.einsum("qnb,qnb->nb", off, off)
    n = np.where(others > 1, others, np.nan)
    mean = (first.sum(1, keepdims=True) - first) / n
    variance = np.maximum((second.sum(1, keepdims=True) - second) / n - mean**2, 0)
    return Side(others, _medians(key, others), variance)


Sides = tuple[Side, Side]
"""Of the members with an example, and of those without it."""


def attackable(sides: Sides) -> Mask:
    """Examples that two members of other blocks are with, and two without: a variance takes that, [n, b]."""
    found: Mask = (sides[0].count > 1) & (sides[1].count > 1)
    return found


def pooled(sides: Sequence[Sides]) -> list[Sides]:
    """The same, each side with one variance for all examples that are attackable: that within examples, [b].

    sides: of all chunks.
    """
    kept = [attackable(both) for both in sides]

    def one(own: Sequence[Side]) -> list[Side]:
        total = sum((s.variance * s.count).sum(0, where=mask) for s, mask in zip(own, kept, strict=True))
        degrees = sum((s.count - 1).sum(0, where=mask) for s, mask in zip(own, kept, strict=True))
        variance = total / np.where(degrees > 0, degrees, np.nan)
        return [Side(s.count, s.median, np.broadcast_to(variance, s.variance.shape)) for s in own]

    return list(zip(*map(one, zip(*sides, strict=True)), strict=True))


def sort_key(margin: NDArray[np.float16]) -> Keys:
    """Integers in the order of the numbers: they are sorted many times faster."""
    bits = np.ascontiguousarray(margin).view(np.int16)
    return bits ^ ((bits >> 15) & np.int16(0x7FFF))


def is_number(key: Keys) -> Mask:
    """Whether a key is that of a number, and not of NaN."""
    least, most = sort_key(np.array([-np.inf, np.inf], np.float16))
    found: Mask = (key >= least) & (key <= most)
    return found


def from_key(key: Keys) -> NDArray[np.float16]:
    """The numbers of `sort_key`."""
    return np.ascontiguousarray(key ^ ((key >> 15) & np.int16(0x7FFF))).view(np.float16)


def _by_example(arranged: NDArray[Any]) -> NDArray[Any]:
    """[q, n, b] as [n, q b]."""
    return np.ascontiguousarray(arranged.transpose(1, 0, 2)).reshape(arranged.shape[1], -1)


def _medians(key: Keys, others: NDArray[np.int64]) -> Floats:
    """The median of all other blocks' keys as a number, [n, b]; NaN of none. key: [q, n, b], NONE for those
    that do not count; others: how many of the other blocks do, [n, b]."""
    ordered = np.sort(_by_example(key), axis=1)
    found = [_remaining(ordered, key, np.maximum(at, 0)) for at in ((others - 1) // 2, others // 2)]
    median = (from_key(found[0]).astype(np.float64) + from_key(found[1])) / 2
    return np.where(others > 0, median, np.nan)


def _remaining(
    ordered: NDArray[np.int16], key: NDArray[np.int16], at: NDArray[np.int64]
) -> NDArray[np.int16]:
    """The element at position `at` of what is left of `ordered` [n, k] without a block's own keys, [n, b].

    It is further on in `ordered` by the number of the block's keys that are not above it.
    """
    before = np.zeros(at.shape, np.int64)
    last = ordered.shape[1] - 1
    while True:
        value = np.take_along_axis(ordered, np.minimum(at + before, last), 1)
        now = np.zeros(at.shape, np.int16)
        for own in key:
            now += own <= value
        if (now == before).all():
            return value
        before = now.astype(np.int64)
