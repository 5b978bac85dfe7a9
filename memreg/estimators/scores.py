"""Memorization scores: Equation 1 estimated from members that include and exclude each example."""

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import confint_proportions_2indep

from memreg.estimators.counts import Counts, Floats, Numbers

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds 0.05 .. 0.95 at which memorized and counted fractions are reported."""


def scores(counts: Counts) -> pd.DataFrame:
    """One row per training example, in order.

    `score` = Pr[correct, included] - Pr[correct, excluded] (Equation 1), in [-1, 1]; negative scores are
    kept. `standard_error` is that of a difference of two proportions, sqrt(p1(1-p1)/n1 + p0(1-p0)/n0), which
    degenerates at 0 and 1; `low` and `high` are Newcombe's 95 % hybrid-score interval, which does not
    (Newcombe 1998, method 10). All four are NaN for an example that was never included or never excluded.
    """
    p1, p0 = counts.included_accuracy, counts.excluded_accuracy
    both = (counts.included > 0) & (counts.excluded > 0)
    low, high = np.full((2, len(p1)), np.nan)
    low[both], high[both] = newcombe(
        counts.included_correct[both],
        counts.included[both],
        counts.excluded_correct[both],
        counts.excluded[both],
    )
    variance = p1 * (1 - p1) / np.maximum(counts.included, 1) + p0 * (1 - p0) / np.maximum(counts.excluded, 1)
    return pd.DataFrame(
        {
            "score": p1 - p0,
            "standard_error": np.sqrt(variance),
            "low": low,
            "high": high,
            "included_count": counts.included,
            "excluded_count": counts.excluded,
            "included_accuracy": p1,
            "excluded_accuracy": p0,
        }
    )


def newcombe(count1: Numbers, n1: Numbers, count0: Numbers, n0: Numbers) -> tuple[Floats, Floats]:
    """95 % interval of p1 - p0 for independent proportions, any shape, elementwise."""
    low, high = confint_proportions_2indep(
        count1, n1, count0, n0, method="newcomb", compare="diff", alpha=0.05
    )
    return low, high


def counted_fraction(score: Floats, threshold: float) -> float:
    """Share of training examples with score >= threshold (section 3.2); NaN if no example has a score.

    Scores are noisy, and more of them are above a high threshold than examples are in truth: `mixture`
    estimates the share of true scores.
    """
    known = score[~np.isnan(score)]
    return float(np.mean(known >= threshold - 1e-12)) if len(known) else float("nan")
