"""Leave-one-out (section 3.2): Equation 1 to the letter, and when to stop training for it."""

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Counts, Floats, Numbers
from memreg.estimators.scores import difference_interval, exact_interval

AT_ONCE = (1.05, 2.0)
"""A target's members are multiplied by so much before its interval is looked at again."""


def leave_one_out(everything: Counts, left_out: Counts) -> Counts:
    """Counts from which `scores` makes Equation 1: its first term from members trained on everything, shared
    by all targets, its second from those that left the target out. Shapes [n]."""
    return Counts(
        everything.included,
        everything.included_correct,
        left_out.excluded,
        left_out.excluded_correct,
    )


def missing(counts: Counts, halfwidth: float) -> tuple[int, NDArray[np.int64]]:
    """Further members that intervals of half this width would take: (on everything, without each target [T]).

    counts: of the targets, [T], as `leave_one_out` gives them. Members on everything serve all targets: they
    are to be so many that the first term alone takes up half of the width at most. To be asked again
    after training, until it answers 0: widths are extrapolated as 1/sqrt(count), and an interval
    that is watched until it is narrow covers a little less than its nominal 95 %.
    """
    low, high = difference_interval(
        counts.included_correct, counts.included, counts.excluded_correct, counts.excluded
    )
    wide = (high - low) / 2 > halfwidth
    first = np.where(wide, _width(counts.included_correct, counts.included), 0)
    second = _width(counts.excluded_correct, counts.excluded)
    left = np.sqrt(halfwidth**2 - np.minimum(first, halfwidth / 2) ** 2)
    everything = _more(counts.included, first / (halfwidth / 2)).max(initial=0)
    without = np.where(wide, _more(counts.excluded, second / left), 0)
    if not everything:  # rounding, or an interval that is not quite the sum of its parts
        without = np.where(wide, np.maximum(without, 1), 0)
    return int(everything), without


def _width(right: Numbers, of: Numbers) -> Floats:
    """Half the width of one proportion's 95 % interval, of which the difference's is made."""
    low, high = exact_interval(right, of)
    half: Floats = (high - low) / 2
    return half


def _more(count: Numbers, ratio: Floats) -> NDArray[np.int64]:
    """Members to add where intervals are `ratio` times as wide as they may be."""
    factor = np.where(ratio > 1, np.clip(ratio**2, *AT_ONCE), 1)
    more: NDArray[np.int64] = np.ceil(count * (factor - 1)).astype(np.int64)
    return more
