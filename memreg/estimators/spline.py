"""Regression on one variable without a guess of its shape."""

import numpy as np

from memreg.estimators.counts import Floats

KNOTS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the variable at which the slope may change."""


def spline(x: Floats) -> Floats:
    """Regressors of a piecewise linear function: a constant and its variations, which are uncorrelated and of
    variance 1; x: [n]. Shape [n, k], k at most 2 + knots: fewer where x has few values.
    """
    knots = np.quantile(x, KNOTS)
    pieces = np.stack([x, *(np.maximum(x - knot, 0) for knot in knots)], 1)
    directions, size, _ = np.linalg.svd(pieces - pieces.mean(0), full_matrices=False)
    kept = size > 1e-6 * max(size[0], 1e-9)
    return np.hstack([np.ones((len(x), 1)), directions[:, kept] * np.sqrt(len(x))])


def fitted(regressors: Floats, y: Floats, weight: Floats | float = 1.0) -> Floats:
    """Weighted least squares of y on the regressors, at each y; y, weight: [n]."""
    root = np.sqrt(np.broadcast_to(weight, y.shape))
    coefficients = np.linalg.lstsq(regressors * root[:, None], y * root, rcond=None)[0]
    return np.asarray(regressors @ coefficients)
