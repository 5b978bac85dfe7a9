"""Pr[correct, excluded] from what members give the label, not only from whether they are right.

A share of k members has the noise of k coins. The label's log odds, log(p / (1 - p)), are close to
normal over members (Carlini et al. 2022, whose membership inference rests on it), and a normal
distribution's mean and variance say what share of it is beyond a threshold with up to two fifths less
variance.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logit
from scipy.stats import norm

from memreg.estimators.counts import Counts, Floats, Mask
from memreg.estimators.scores import exact_interval, mover
from memreg.margins import NEAREST

LIMIT = float(logit(1 - NEAREST))
EDGES = np.linspace(-LIMIT, LIMIT, 401)
CENTRES = (EDGES[:-1] + EDGES[1:]) / 2


@dataclass(frozen=True)
class Confidence:
    """Sums over excluding members; they add up, shard by shard."""

    count: NDArray[np.int64]
    """Shape [n_train]; so `total` and `squares`."""
    total: Floats
    """Of the label's log odds."""
    squares: Floats
    seen: NDArray[np.int64]
    """Members and examples by log odds, in the bins of `EDGES`; the outer ones have all beyond."""
    right: NDArray[np.int64]
    """Those of `seen` whose class is the label."""

    def __add__(self, other: "Confidence") -> "Confidence":
        return Confidence(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def confidence(included: Mask, correct: Mask, margin: Floats) -> Confidence:
    """All [members, n_train]; margin: the label's log odds, no NaN."""
    odds = margin.astype(np.float64)
    near = np.clip(odds, -LIMIT, LIMIT)
    excluded = ~included
    return Confidence(
        excluded.sum(0),
        odds.sum(0, where=excluded),
        (odds**2).sum(0, where=excluded),
        np.histogram(near[excluded], EDGES)[0],
        np.histogram(near[excluded & correct], EDGES)[0],
    )


def right_at(sums: Confidence) -> tuple[float, float]:
    """(t, tau) by maximum likelihood: a class is the label with probability Phi((log odds - t) / tau).

    It always is where p > 1/2, and never below one over the number of classes. One t and tau for all members
    and examples.
    """
    used = sums.seen > 0
    x, right, wrong = CENTRES[used], sums.right[used], (sums.seen - sums.right)[used]

    def loss(at: Floats) -> float:
        z = (x - at[0]) / np.exp(at[1])
        return -float(right @ norm.logcdf(z) + wrong @ norm.logcdf(-z))

    bounds = [(-LIMIT, LIMIT), (np.log(EDGES[1] - EDGES[0]), np.log(LIMIT))]
    t, log_tau = minimize(loss, (-0.5, -1.0), bounds=bounds, method="L-BFGS-B").x
    return float(t), float(np.exp(log_tau))


def normal_scores(counts: Counts, sums: Confidence) -> pd.DataFrame:
    """`score`, `standard_error`, `low`, `high` (95 %), `included_accuracy`, `excluded_accuracy`, a row per
    training example.

    Estimand: Feldman & Zhang's, of the design that left examples out; Equation 1 as far as that design keeps
    peers in. The included share is counted. The excluded one is Phi((mean - t) / sqrt(variance + tau^2)) of
    the excluded log odds, normal over members, with `right_at`'s t and tau taken as known. It is biased where
    the odds are not normal, so its interval is that of its argument by the delta method, widened to contain
    the exact one of the counted share; the standard error knows nothing of the bias. `mover` puts both sides
    together. NaN where counts are less than 1 included or 2 excluded.
    """
    t, tau = right_at(sums)
    n = np.where(sums.count > 1, sums.count, np.nan)
    mean = sums.total / n
    variance = np.maximum(sums.squares / n - mean**2, 0) * n / (n - 1)
    both = variance + tau**2
    z, own = (mean - t) / np.sqrt(both), variance / both
    error = np.sqrt(own / n + z**2 * own**2 / (2 * (n - 1)))
    p1, p0 = counts.included_accuracy, norm.cdf(z)
    known = ~np.isnan(p1) & ~np.isnan(p0)
    one = exact_interval(counts.included_correct, np.maximum(counts.included, 1))
    low0, high0 = exact_interval(counts.excluded_correct, np.maximum(counts.excluded, 1))
    half = norm.ppf(0.975) * error
    low, high = mover(
        p1, one, p0, (np.minimum(low0, norm.cdf(z - half)), np.maximum(high0, norm.cdf(z + half)))
    )
    variance1 = p1 * (1 - p1) / np.maximum(counts.included, 1)
    columns = {
        "score": p1 - p0,
        "standard_error": np.sqrt(variance1 + (norm.pdf(z) * error) ** 2),
        "low": low,
        "high": high,
        "included_accuracy": p1,
        "excluded_accuracy": p0,
    }
    return pd.DataFrame({name: np.where(known, values, np.nan) for name, values in columns.items()})
