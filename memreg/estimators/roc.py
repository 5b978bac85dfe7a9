"""The receiver operating characteristic of an attack: how many members it finds at how many false alarms.

Scores are counted block by block in bins, so that blocks can be left out: all scores of a network share its
luck.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.bootstrap import jackknife_interval
from memreg.estimators.counts import Floats, Mask
from memreg.estimators.reference import Keys, from_key, is_number, sort_key
from memreg.estimators.statistics import RATES, TOLD, rate_key

DROPPED = 3
"""Of float16's ten binary digits behind the point, those that a bin leaves out: it is 1 part in 128 wide."""
BINS = 2 ** (16 - DROPPED)
FEWEST = 10
"""False positives that a rate must allow: of fewer its threshold is chance."""
NAN = float("nan")
MOST = 60_000.0
"""Scores are held within it: float16 has nothing above 65,504."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Attacks of members on examples, counted by block, by whether the member had the example, and by score:
    [b, 2, BINS]."""

    count: NDArray[np.int32]


def trials(score: NDArray[np.float16], included: Mask, block: NDArray[np.int64]) -> Trials:
    """score, included: [k, n]; block: of each member, [k]. NaN is not counted."""
    numbers, number = np.unique(block, return_inverse=True)
    count = np.zeros((len(numbers), 2 * BINS), np.int32)
    for own, values, inside in zip(number, score, included, strict=True):
        key = sort_key(values)
        index = bin_of(key) + np.int16(BINS) * inside
        known = is_number(key)
        count[own] += np.bincount(index if known.all() else index[known], minlength=2 * BINS)
    return Trials(count.reshape(len(numbers), 2, BINS))


def bin_of(key: Keys) -> Keys:
    """The bin of scores by their `sort_key`, any shape: higher scores are in higher bins."""
    found: Keys = (key >> DROPPED) + np.int16(BINS // 2)
    return found


def held(score: NDArray[Any]) -> NDArray[np.float16]:
    """Scores as they are counted."""
    kept: NDArray[np.float16] = np.clip(score, -MOST, MOST).astype(np.float16)
    return kept


@dataclass(frozen=True, eq=False)
class Roc:
    """From the highest threshold to the lowest, [points], each from 0 to 1."""

    false_positive: Floats
    true_positive: Floats
    negatives: int
    """Trials of members without the example."""

    def true_positive_at(self, rate: Floats | float) -> Floats:
        """At false-positive rates, any shape."""
        return np.asarray(np.interp(rate, self.false_positive, self.true_positive))

    def value(self, name: str) -> float:
        """One of TOLD."""
        rates = {rate_key(rate): rate for rate in RATES}
        return float(self.true_positive_at(rates[name]) if name in rates else getattr(self, name))

    @property
    def auc(self) -> float:
        """Area under the curve: the probability that a member's score is above a non-member's, ties half."""
        return float(np.trapezoid(self.true_positive, self.false_positive))

    @property
    def balanced_accuracy(self) -> float:
        """(true positives + true negatives) / 2, in shares, at the best threshold."""
        return float((1 + (self.true_positive - self.false_positive).max()) / 2)


def roc(count: NDArray[Any]) -> Roc:
    """count: of trials by whether the member had the example, and by score, [2, BINS]."""
    upward = np.cumsum(count[:, ::-1], axis=1)
    total = upward[:, -1:]
    with np.errstate(invalid="ignore"):
        share = np.concatenate([np.zeros((2, 1)), upward / total], axis=1)
    return Roc(share[0], share[1], int(total[0, 0]))


@dataclass(frozen=True, eq=False)
class Curves:
    """An attack's curve, and what it would be without each block of members."""

    trials: Trials
    anew: list[Roc] | None = None
    """Without each block, where the others were attacked anew, [b]; empty where blocks are too few to tell.
    None where it is enough to leave out a block's own trials."""

    @cached_property
    def total(self) -> NDArray[np.int64]:
        """Trials of all blocks, [2, BINS]."""
        total: NDArray[np.int64] = self.trials.count.sum(0)
        return total

    @cached_property
    def whole(self) -> Roc:
        return roc(self.total)

    def without(self, what: Callable[[Roc], Floats]) -> Floats:
        """What is said of the curve without each block, [b, ...]."""
        left = self.anew if self.anew is not None else (roc(self.total - own) for own in self.trials.count)
        return np.array([what(curve) for curve in left])

    def summary(self) -> dict[str, float]:
        """Each of TOLD with its 95 % interval over members, as `auc`, `auc_low` and `auc_high`; NaN for a
        rate that allows fewer than FEWEST false positives."""
        found: dict[str, float] = {}
        for key, values in zip(TOLD, self._told_without(), strict=True):
            value = self.whole.value(key)
            low, high = jackknife_interval(value, values)
            found |= {key: value, f"{key}_low": float(max(low, 0)), f"{key}_high": float(min(high, 1))}
        return _known(found, self.whole.negatives)

    def gain(self, other: "Curves") -> dict[str, float]:
        """By how much each of TOLD is above another attack's of the same members, and its 95 % interval, as
        `summary`: what both have in common is not in it."""
        found: dict[str, float] = {}
        for key, values in zip(TOLD, self._told_without() - other._told_without(), strict=True):
            value = self.whole.value(key) - other.whole.value(key)
            low, high = jackknife_interval(value, values)
            found |= {key: value, f"{key}_low": low, f"{key}_high": high}
        return _known(found, self.whole.negatives)

    def _told_without(self) -> Floats:
        """Each of TOLD without each block, [TOLD, b]."""
        left = self.without(lambda curve: np.array([curve.value(key) for key in TOLD]))
        return left.reshape(-1, len(TOLD)).T


def _known(told: dict[str, float], negatives: int) -> dict[str, float]:
    """NaN for rates that allow fewer than FEWEST false positives."""
    unknown = tuple(rate_key(rate) for rate in RATES if rate * negatives < FEWEST)
    return {key: NAN if key.startswith(unknown) else value for key, value in told.items()}


def threshold(counted: Trials, rate: float) -> float:
    """The score from which on a share `rate` of the non-members' scores lies; NaN where too few lie there."""
    negatives = counted.count[:, 0].sum(0)
    above = np.cumsum(negatives[::-1])[::-1]
    if rate * above[0] < FEWEST:
        return float("nan")
    first = int(np.argmax(above <= rate * above[0]))
    lower = lower_edge(first)
    inside = negatives[first - 1]
    part = (rate * above[0] - above[first]) / inside if inside else 0.0
    return lower - part * (lower - lower_edge(first - 1))


def lower_edge(bin_: int) -> float:
    """The least score of a bin."""
    key = np.array([(bin_ - BINS // 2) << DROPPED], np.int16)
    return float(from_key(key)[0])
