"""A straight line through points, with the band in which it lies."""

import numpy as np

from memreg.estimators.counts import Floats


def line(x: Floats, y: Floats, at: Floats) -> tuple[Floats, Floats, Floats]:
    """Least-squares line of y over x, [points], at some places: value, and 95 % band of the line."""
    import statsmodels.api as sm  # 1 s to import

    fit = sm.OLS(y, sm.add_constant(x)).fit()
    predicted = fit.get_prediction(sm.add_constant(at, has_constant="add"))
    band = np.asarray(predicted.conf_int(alpha=0.05))
    return np.asarray(predicted.predicted_mean), band[:, 0], band[:, 1]
