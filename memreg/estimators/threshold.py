"""The one rule by which a score is at or above a threshold, and the thresholds that are reported.

The share of *true* scores above one is estimated by `mixture`, and a set with few false examples chosen by
`memorized_set`: neither compares single scores with a threshold.
"""

from typing import Any

import numpy as np

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds 0.05 .. 0.95 at which memorized and counted fractions are reported."""
FORGIVEN = 8
"""Units in the last place by which a difference of shares may miss a threshold that it is equal to."""


def reaches(score: Any, threshold: Any) -> Any:
    """Whether a score is at or above a threshold, elementwise: the one rule for it.

    Scores are differences of shares, and a threshold such as 0.15 is no binary fraction, so a score that is
    exactly the threshold may come out a little below it. FORGIVEN units in the last place of the scores'
    own precision are forgiven. In float64 scores that differ at all differ by more, unless they are from
    millions of members.
    """
    precision = np.result_type(score, np.float32)
    return np.asarray(score) >= threshold - FORGIVEN * np.finfo(precision).eps
