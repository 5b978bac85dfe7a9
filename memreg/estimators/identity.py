"""How much of a correlation with test accuracy is arithmetic.

With equal counts the mean score is included minus excluded accuracy, exactly; and excluded accuracy, that on
training examples which a network has not seen, is nearly test accuracy. So

    score = (included - test) + (test - excluded):

two accuracies for which no example need be left out, and how unseen training examples differ from test
examples. The first part falls as test accuracy rises unless included accuracy rises as fast, whatever
networks memorize. It enters the score with a slope of 1, and a share of examples that score t or more with
one of 1 to 1/t, since an example that it gains or loses moves the sum of scores by t to 1. A line of another
slope, a negative one above all, may go through the cells as well, but arithmetic has not made it.
"""

from dataclasses import dataclass

import numpy as np

from memreg.estimators.correlation import NAN, Pearson, pearson
from memreg.estimators.counts import Floats

TOLERANCE = 2.0  # times: excluded accuracy is only nearly test accuracy


@dataclass(frozen=True)
class Identity:
    """What included minus test accuracy alone says of a statistic."""

    arithmetic: Pearson
    """Included minus test accuracy, with test accuracy."""
    explained: float
    """Share of the statistic's variance over cells that included minus test accuracy explains, by a
    straight line; by itself, where the statistic is the score, and then below 0 where it is further from the
    score than the score is from its own mean."""
    slope: float
    intercept: float
    """The line: statistic = intercept + slope * (included - test accuracy)."""
    remainder: Pearson
    """The statistic less the line, with test accuracy."""
    steepest: float
    """The largest slope that arithmetic gives, where 1 is the smallest."""

    @property
    def arithmetic_slope(self) -> bool:
        """Whether the line's slope is that of arithmetic, within a factor of two."""
        return 1 / TOLERANCE <= self.slope <= TOLERANCE * self.steepest


def identity(
    test: Floats, statistic: Floats, included: Floats, exact: bool = False, threshold: float = 1.0
) -> Identity:
    """All [cells]. `exact`: the statistic is a mean score or gap, whose line has slope 1 and intercept 0.
    threshold: else it is a share of examples, those that score so much or more."""
    keep = ~np.isnan(test + statistic + included)
    test, statistic, included = test[keep], statistic[keep], included[keep]
    arithmetic = included - test
    if len(test) < 2:
        none = pearson(test, arithmetic)
        return Identity(none, NAN, 1.0, 0.0, none, 1 / threshold)
    spread = arithmetic.var()
    if exact or not spread > 0:
        slope, intercept = 1.0, 0.0
    else:
        slope = float(np.cov(arithmetic, statistic, ddof=0)[0, 1] / spread)
        intercept = float(statistic.mean() - slope * arithmetic.mean())
    remainder = statistic - intercept - slope * arithmetic
    total = statistic.var()
    explained = float(1 - remainder.var() / total) if total > 0 else NAN
    arithmetic_r, remainder_r = pearson(test, arithmetic), pearson(test, remainder)
    return Identity(arithmetic_r, explained, slope, intercept, remainder_r, 1 / threshold)
