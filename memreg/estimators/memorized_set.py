"""A set of memorized examples with a controlled share of false ones."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from memreg.estimators.counts import Floats, Mask, Numbers


def memorized_set(scores: pd.DataFrame, threshold: float, rate: float = 0.05) -> Mask:
    """Examples whose score is above the threshold, of which on average at most a share `rate` is not.

    scores: with the columns of `memreg.estimators.scores.scores`; the result has shape [n]. Each
    example is tested one-sided against score <= threshold (Miettinen & Nurminen's score test), and
    Benjamini & Hochberg's procedure picks from all examples. A score that only happens to lie above the
    threshold, as many do with few members, is not in the set. The share holds unless nearly all examples
    score exactly the threshold, because the test's tail is not exact: where 98 % score .25 with an included
    accuracy of .99, a share of .14, .11 and .07 of the set is false with 40, 100 and 400 members.
    """
    known = ((scores["included_count"] > 0) & (scores["excluded_count"] > 0)).to_numpy()
    chosen = np.zeros(len(scores), bool)
    chosen[known] = false_discovery_control(p_values(scores[known], threshold)) <= rate
    return chosen


def p_values(scores: pd.DataFrame, threshold: float) -> Floats:
    """One-sided, of score <= threshold, shape [n].

    The statistic (Miettinen & Nurminen 1985, Statistics in Medicine 4: 213-226) is the difference of the two
    shares less the threshold, over its standard error at `most_likely` proportions p1 and p0, which differ by
    the threshold: z = (c1/n1 - c0/n0 - threshold) / sqrt((p1(1-p1)/n1 + p0(1-p0)/n0) n/(n-1)), n = n1 + n0.
    """
    n1, n0 = (scores[f"{side}_count"].to_numpy() for side in ("included", "excluded"))
    share1, share0 = (scores[f"{side}_accuracy"].to_numpy() for side in ("included", "excluded"))
    p0 = most_likely(np.rint(share1 * n1), n1, np.rint(share0 * n0), n0, threshold)
    p1 = p0 + threshold
    variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p: Floats = norm.sf((share1 - share0 - threshold) / np.sqrt(variance))
    return np.where(np.isnan(p), 1, p)


def most_likely(count1: Numbers, n1: Numbers, count0: Numbers, n0: Numbers, difference: float) -> Floats:
    """The p0 at which the counts are most likely if p1 = p0 + difference, any shape, elementwise.

    It is a root of L3 p^3 + L2 p^2 + L1 p + L0 with L3 = n, L2 = (n1 + 2 n0) d - n - c,
    L1 = (n0 d - n - 2 c0) d + c and L0 = c0 d (1 - d), where n = n1 + n0, c = c1 + c0 and d the difference;
    Miettinen & Nurminen's appendix has it in closed form. (statsmodels has c0 d in place of n0 d.)
    """
    d, n, c = difference, n1 + n0, count1 + count0
    middle = ((n1 + 2 * n0) * d - n - c) / (3 * n)
    linear = ((n0 * d - n - 2 * count0) * d + c) / (3 * n)
    q = middle**3 - 1.5 * linear * middle + count0 * d * (1 - d) / (2 * n)
    p = np.copysign(np.sqrt(np.maximum(middle**2 - linear, 0)), q)
    cosine = np.divide(q, p**3, out=np.ones_like(p), where=p != 0)
    angle = (np.pi + np.arccos(np.clip(cosine, -1, 1))) / 3
    root: Floats = np.clip(2 * p * np.cos(angle) - middle, max(0, -d), min(1, 1 - d))
    return root
