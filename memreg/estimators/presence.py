"""What it changes that networks were trained on one example: who else they are then surer of.

A row of Feldman & Zhang's influence matrix (section 2.2 of the paper), in log odds rather than in correct
predictions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from memreg.estimators.counts import Floats, Mask

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Presence:
    """Of N examples, training first; NaN where members do not say."""

    effect: Floats
    """Mean value with the example less that without it, [N]."""
    p: Floats
    """One-sided p of Welch's test that the effect is not above 0, [N]."""

    def helped(self, most: int) -> NDArray[np.int64]:
        """The examples that are surely helped, largest effect first: Holm's procedure at 5 % over those
        that have a p."""
        known = np.flatnonzero(~np.isnan(self.p))
        order = known[np.argsort(self.p[known], kind="stable")]
        fails = np.flatnonzero(self.p[order] > LEVEL / (len(order) - np.arange(len(order))))
        sure = order[: fails[0]] if len(fails) else order
        return sure[np.argsort(-self.effect[sure], kind="stable")][:most]


def presence(parts: Iterable[tuple[Mask, Floats]], example: int) -> Presence:
    """parts: of some members each, which of the training examples they saw, [k, n_train], and a value of each
    example, [k, N], as the log odds of its label.

    Another training example's value counts only in members that did not see it, lest memorization drown what
    is learned from the other one. Members count as independent.
    """
    sums: dict[bool, list[Floats]] = {}
    for included, values in parts:
        n_train, counts = included.shape[1], np.isfinite(values)
        counts[:, :n_train] &= ~included
        for there in (True, False):
            rows = included[:, example] == there
            v = np.where(counts[rows], values[rows], 0).astype(float)
            new = [counts[rows].sum(0).astype(float), v.sum(0), (v * v).sum(0)]
            old = sums.get(there)
            sums[there] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        (n1, mean1, error1), (n0, mean0, error0) = (_moments(*sums[there]) for there in (True, False))
        effect, error = mean1 - mean0, error1 + error0
        freedom = error**2 / (error1**2 / (n1 - 1) + error0**2 / (n0 - 1))
        p = stats.t.sf(effect / np.sqrt(error), freedom)
    unknown = (n1 < 2) | (n0 < 2) | ~(error > 0)
    unknown[example] = True
    return Presence(np.where(unknown, np.nan, effect), np.where(unknown, np.nan, p))


def _moments(n: Floats, total: Floats, squares: Floats) -> tuple[Floats, Floats, Floats]:
    """Count, mean, and the mean's variance."""
    mean = total / n
    return n, mean, np.maximum(squares / n - mean**2, 0) / (n - 1)
