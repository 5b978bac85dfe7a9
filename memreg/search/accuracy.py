"""What a few members say of a cell's test accuracy.

In logits, where members of good and of bad cells scatter more nearly alike: a few members' own variance is
shrunk towards that of members of other cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

PRIOR_VARIANCE, PRIOR_DEGREES = 0.2**2, 4.0
EDGE = 1e-3


@dataclass(frozen=True)
class Estimate:
    """An estimate of a cell's test accuracy, from its members."""

    accuracy: float
    """Mean over members, as the cell's metric `test_accuracy`."""
    members: int
    squares: float
    """Sum of squared deviations of the members' logits from their mean."""

    @classmethod
    def of(cls, accuracies: Sequence[float]) -> "Estimate":
        logits = logit(np.clip(accuracies, EDGE, 1 - EDGE))
        return cls(float(np.mean(accuracies)), len(logits), float(((logits - logits.mean()) ** 2).sum()))

    @property
    def logit(self) -> float:
        return float(logit(np.clip(self.accuracy, EDGE, 1 - EDGE)))


@dataclass(frozen=True)
class Scatter:
    """How members of one cell vary, in logits, as far as other cells tell."""

    variance: float

    @classmethod
    def of(cls, estimates: Sequence[Estimate]) -> "Scatter":
        squares = sum(e.squares for e in estimates)
        degrees = sum(e.members - 1 for e in estimates)
        return cls((PRIOR_DEGREES * PRIOR_VARIANCE + squares) / (PRIOR_DEGREES + degrees))

    def error(self, e: Estimate) -> float:
        """Standard error of the estimate's logit."""
        return float(np.sqrt(self._variance(e) / e.members))

    def interval(self, e: Estimate) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        half = float(t.ppf(0.975, PRIOR_DEGREES + e.members - 1)) * self.error(e)
        return float(expit(e.logit - half)), float(expit(e.logit + half))

    def _variance(self, e: Estimate) -> float:
        return (PRIOR_DEGREES * self.variance + e.squares) / (PRIOR_DEGREES + e.members - 1)
