"""Scores from few members, which learn from all examples what to expect of each: empirical Bayes.

Members that include an example say how hard it is, and they are the many: at r = .7, 28 of 40. The label's
log odds over them predict the share that gets it right, included or excluded, and each example's own members
correct the prediction as far as they are more certain than it.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import owens_t
from scipy.stats import beta, norm

from memreg.estimators.beta_binomial import beta_posterior
from memreg.estimators.counts import Counts, Floats, Mask
from memreg.estimators.gaussian import Confidence, right_at
from memreg.estimators.spline import fitted, spline

MINIMUM = 20
"""Members from which on intervals cover, in simulation and on stored cells."""
LEAST_VARIANCE = 0.05
"""Of log odds: added before the logarithm, since members that are all certain have none."""
SCATTERS = (-6.0, 2.0)
"""Logarithms between which the prior's standard deviation lies."""
SIDES = np.array([[0.025], [0.975]])


def posterior_scores(counts: Counts, excluded: Confidence, included: Confidence) -> pd.DataFrame:
    """`score`, `standard_error`, `low`, `high` (95 %), `included_accuracy`, `excluded_accuracy`, a row per
    training example.

    Estimand: that of `normal_scores`. All values are posterior ones: mean, standard deviation, and the
    central 95 % of both shares, put together by MOVER (Zou & Donner 2008); what is estimated of the priors is
    taken as known. On average over examples the error is smaller than by counting, and the price is bias:
    where few examples are memorized, those that are come out too low. So these scores rank examples, and
    neither their mean nor how many are above a threshold is that of the true ones. NaN where counts are less
    than 1 included or 2 excluded.

    excluded, included: `confidence` of the masks and of their complements.
    """
    known = (counts.included > 0) & (excluded.count > 1)
    columns = ("score", "standard_error", "low", "high", "included_accuracy", "excluded_accuracy")
    table = pd.DataFrame(np.nan, range(len(known)), columns)
    if not known.any():
        return table
    by = spline(included.total[known] / included.count[known])
    a, b = beta_posterior(by, counts.included_correct[known], counts.included[known])
    m, v = _excluded(by, excluded, known)
    p1, (low1, high1) = a / (a + b), beta.ppf(SIDES, a, b)
    p0, (low0, high0) = norm.cdf(m / np.sqrt(1 + v)), norm.cdf(m + norm.ppf(SIDES) * np.sqrt(v))
    variance1 = p1 * (1 - p1) / (a + b + 1)
    variance0 = p0 * (1 - p0) - 2 * owens_t(m / np.sqrt(1 + v), 1 / np.sqrt(1 + 2 * v))
    down = np.hypot(np.maximum(p1 - low1, 0), np.maximum(high0 - p0, 0))
    up = np.hypot(np.maximum(high1 - p1, 0), np.maximum(p0 - low0, 0))
    error = np.sqrt(variance1 + np.maximum(variance0, 0))
    table.loc[known] = np.stack([p1 - p0, error, p1 - p0 - down, p1 - p0 + up, p1, p0], 1)
    return table


def _excluded(by: Floats, sums: Confidence, known: Mask) -> tuple[Floats, Floats]:
    """Mean and variance of zeta's posterior, where Phi(zeta) is Pr[correct, excluded], as `normal_scores` has
    it. A variance of 12 log odds is noisy: it is halfway, in logarithm, between the example's own and the one
    that is expected of it.
    """
    t, tau = right_at(sums)
    n = sums.count[known]
    mean = sums.total[known] / n
    own = np.maximum(sums.squares[known] / n - mean**2, 0) * n / (n - 1)
    log = np.log(own + LEAST_VARIANCE)
    variance = np.exp((log + fitted(by, log)) / 2)
    both = variance + tau**2
    zeta, share = (mean - t) / np.sqrt(both), variance / both
    return normal_posterior(by, zeta, share / n + zeta**2 * share**2 / (2 * (n - 1)))


def normal_posterior(regressors: Floats, y: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Posterior mean and variance of what y measures with variance `noise`, all [n] (Fay & Herriot 1979).

    The prior is normal, its mean linear in the regressors and its variance common to all: both by maximum
    likelihood.
    """

    def loss(log: float) -> float:
        weight = 1 / (noise + np.exp(2 * log))
        return float((weight * (y - fitted(regressors, y, weight)) ** 2 - np.log(weight)).sum())

    scatter = np.exp(2 * minimize_scalar(loss, bounds=SCATTERS, method="bounded").x)
    expected = fitted(regressors, y, 1 / (noise + scatter))
    variance = 1 / (1 / noise + 1 / scatter)
    return (y / noise + expected / scatter) * variance, variance
