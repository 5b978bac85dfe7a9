"""A set of memorized examples with a controlled share of false ones."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from statsmodels.stats.proportion import test_proportions_2indep

from memreg.estimators.counts import Floats, Mask


def memorized_set(scores: pd.DataFrame, threshold: float, rate: float = 0.05) -> Mask:
    """Examples whose score is above the threshold, of which on average at most a share `rate` is not.

    scores: with the columns of `memreg.estimators.scores.scores`; the result has shape [n]. Each
    example is tested one-sided against score <= threshold (Miettinen & Nurminen's score test), and
    Benjamini & Hochberg's procedure picks from all examples. A score that only happens to lie above the
    threshold, as many do with few members, is not in the set.
    """
    known = ((scores["included_count"] > 0) & (scores["excluded_count"] > 0)).to_numpy()
    chosen = np.zeros(len(scores), bool)
    chosen[known] = false_discovery_control(p_values(scores[known], threshold)) <= rate
    return chosen


def p_values(scores: pd.DataFrame, threshold: float) -> Floats:
    """One-sided, of score <= threshold, shape [n]."""
    n1, n0 = (scores[f"{side}_count"].to_numpy() for side in ("included", "excluded"))
    right1, right0 = (
        np.rint(scores[f"{side}_accuracy"].to_numpy() * count)
        for side, count in (("included", n1), ("excluded", n0))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p: Floats = test_proportions_2indep(
            right1, n1, right0, n0, value=threshold, method="score", compare="diff", alternative="larger"
        ).pvalue
    return np.where(np.isnan(p), 1, p)
