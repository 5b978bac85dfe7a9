"""Shares of few members, shrunk towards what a regression expects of each."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, digamma, expit, logit

from memreg.estimators.counts import Floats, Numbers

NEAREST = 1e-4
"""To 0 and 1 that a prior's mean can come."""
WEIGHTS = (-4.0, 6.0)
"""Logarithms between which the prior's number of members lies."""
RIDGE = 1e-2
"""Penalty on slopes, so that a perfect separation stays finite."""
PRECISE = {"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-7}


def beta_posterior(regressors: Floats, right: Numbers, members: Numbers) -> tuple[Floats, Floats]:
    """Parameters (a, b) of each share's Beta posterior, shapes [n].

    The prior of a share is Beta, its mean a logistic regression and its weight common to all: both by
    maximum likelihood of the beta-binomial counts. regressors: [n, k], the first one constant; right of
    members: [n].
    """

    def prior(at: Floats) -> tuple[Floats, float]:
        return NEAREST + (1 - 2 * NEAREST) * expit(regressors @ at[:-1]), float(np.exp(at[-1]))

    def loss(at: Floats) -> tuple[float, Floats]:
        mean, weight = prior(at)
        a, b = mean * weight, (1 - mean) * weight
        common = digamma(a + b) - digamma(members + a + b)
        by_a = digamma(right + a) - digamma(a) + common
        by_b = digamma(members - right + b) - digamma(b) + common
        by_logit = (by_a - by_b) * weight * (mean - NEAREST) * (1 - NEAREST - mean) / (1 - 2 * NEAREST)
        gain = betaln(right + a, members - right + b) - betaln(a, b)
        slopes = np.append(0, at[1:-1])
        gradient = np.append(2 * RIDGE * slopes - regressors.T @ by_logit, -(by_a @ a + by_b @ b))
        return RIDGE * float(slopes @ slopes) - float(gain.sum()), gradient

    start = np.zeros(regressors.shape[1] + 1)
    start[0] = logit(np.clip(right.sum() / members.sum(), 0.01, 0.99))
    start[-1] = 1.0
    bounds = [(None, None)] * regressors.shape[1] + [WEIGHTS]
    mean, weight = prior(minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=PRECISE).x)
    return right + mean * weight, members - right + (1 - mean) * weight
