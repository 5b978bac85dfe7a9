"""How much of a correlation with test accuracy is arithmetic.

With equal counts the mean score is included minus excluded accuracy, exactly; and excluded accuracy, that on
training examples which a network has not seen, is nearly test accuracy. So

    score = (included - test) + (test - excluded):

two accuracies for which no example need be left out, and how unseen training examples differ from test
examples. The first part falls as test accuracy rises unless included accuracy rises as fast, whatever
networks memorize.
"""

from dataclasses import dataclass

import numpy as np

from memreg.estimators.correlation import NAN, Pearson, pearson
from memreg.estimators.counts import Floats


@dataclass(frozen=True)
class Identity:
    """What included minus test accuracy alone says of a statistic."""

    arithmetic: Pearson
    """Included minus test accuracy, with test accuracy."""
    explained: float
    """Share of the statistic's variance over cells that included minus test accuracy explains, by a
    straight line; by itself, where the statistic is the score."""
    slope: float
    intercept: float
    """The line: statistic = intercept + slope * (included - test accuracy)."""
    remainder: Pearson
    """The statistic less the line, with test accuracy."""


def identity(test: Floats, statistic: Floats, included: Floats, exact: bool = False) -> Identity:
    """All [cells]. `exact`: the statistic is a mean score or gap, whose line has slope 1 and intercept 0."""
    keep = ~np.isnan(test + statistic + included)
    test, statistic, included = test[keep], statistic[keep], included[keep]
    arithmetic = included - test
    spread = arithmetic.var()
    if exact or not spread > 0:
        slope, intercept = 1.0, 0.0
    else:
        slope = float(np.cov(arithmetic, statistic, ddof=0)[0, 1] / spread)
        intercept = float(statistic.mean() - slope * arithmetic.mean())
    remainder = statistic - intercept - slope * arithmetic
    total = statistic.var()
    explained = float(1 - remainder.var() / total) if total > 0 else NAN
    return Identity(pearson(test, arithmetic), explained, slope, intercept, pearson(test, remainder))
