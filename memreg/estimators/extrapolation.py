"""Scores at several r, carried to a training set of n-1."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from memreg.estimators.counts import Counts, Floats


def extrapolate(rs: Sequence[float], counts: Sequence[Counts]) -> pd.DataFrame:
    """`score`, `standard_error`, `low`, `high` at r = 1, a row per training example.

    Estimand: Equation 1 at n-1, as the limit of Feldman & Zhang's estimand for r -> 1. An example whose
    s-1 peers are each included with probability r is got right with a probability that is a polynomial in
    1-r of degree s-1. Fitted is one of degree 2 (1 where there are two values of r), by least squares with
    weights from the counts alone: weights from estimated variances would favour those scores that chance
    put near 0 or 1. So the result is a fixed linear combination of the scores; its standard error follows
    from theirs, taken at (x+1)/(n+2) (Agresti & Caffo 2000), since at proportions of 0 and 1 they vanish.
    What higher powers of 1-r contribute is not in the interval: it is least if the largest r is near 1. All
    three are held within [-1, 1], where every score lies.

    counts: of each r, shapes [n_train]. NaN where a score is missing at some r.
    """
    scores = np.stack([c.included_accuracy - c.excluded_accuracy for c in counts])
    with np.errstate(divide="ignore"):
        weights = np.stack([1 / (1 / c.included + 1 / c.excluded) for c in counts])
    known = (weights > 0).all(0)
    weights[:, ~known] = 1
    degree = min(2, len(rs) - 1)
    powers = np.vander(1 - np.asarray(rs, float), degree + 1, increasing=True)
    normal = np.einsum("ra,rn,rb->nab", powers, weights, powers)
    share = np.einsum("nb,rb,rn->rn", np.linalg.inv(normal)[:, 0], powers, weights)
    carried = np.where(known, (share * scores).sum(0), np.nan)
    error = np.sqrt((share**2 * np.stack([_variance(c) for c in counts])).sum(0))
    half = norm.ppf(0.975) * error
    return pd.DataFrame(
        {
            "score": np.clip(carried, -1, 1),
            "standard_error": np.where(known, error, np.nan),
            "low": np.clip(carried - half, -1, 1),
            "high": np.clip(carried + half, -1, 1),
        }
    )


def _variance(counts: Counts) -> Floats:
    def one(right: Floats, of: Floats) -> Floats:
        p = (right + 1) / (of + 2)
        return p * (1 - p) / (of + 2)

    return one(counts.included_correct, counts.included) + one(counts.excluded_correct, counts.excluded)
