"""A Gaussian process of accuracy over recipes, in logits, that knows the noise of the few members of each
cell."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from memreg.search.space import Point, Space

Floats = NDArray[np.float64]


def features(space: Space, points: Sequence[Point], sizes: Mapping[str, int]) -> Floats:
    """[points, features], each about [0, 1]: ranges by their place; a model by its family and the logarithm
    of its parameters, `sizes`; other choices by one column per value."""
    columns: list[list[float]] = []
    for name, values in space.choices.items():
        if name == "model":
            size = {value: np.log(sizes[value]) for value in values}
            low, spread = min(size.values()), np.ptp(list(size.values())) or 1.0
            columns.append([(size[p[name]] - low) / spread for p in points])
            families = list(dict.fromkeys(_family(value) for value in values))
            columns += [[float(_family(p[name]) == f) for p in points] for f in families[1:]]
        else:
            columns += [[float(p[name] == value) for p in points] for value in values[1:]]
    for name, r in space.ranges.items():
        columns.append([r.place(p[name]) for p in points])
    return np.array(columns).T


class Surrogate:
    """Fitted to logits of accuracies with known variances."""

    def __init__(self, x: Floats, logits: Floats, variances: Floats, seed: int) -> None:
        self._mean, self._scale = logits.mean(), max(float(logits.std()), 0.05)
        kernel = ConstantKernel(1.0, (0.1, 30.0)) * Matern(
            np.full(x.shape[1], 0.7), (0.1, 20.0), nu=2.5
        ) + WhiteKernel(0.01, (1e-4, 0.3))
        self._process = GaussianProcessRegressor(
            kernel, alpha=variances / self._scale**2, n_restarts_optimizer=1, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(x, (logits - self._mean) / self._scale)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the logits, each [points]."""
        mean, deviation = self._process.predict(x, return_std=True)
        return self._mean + self._scale * mean, self._scale * deviation


def _family(model: str) -> str:
    return model.partition("-")[0].rstrip("0123456789.m")
