"""Pearson correlation over cells (section 5), with two intervals that answer two questions.

Fisher's: what if other cells had been drawn? The member bootstrap's: what if these cells had been trained
again? The second knows nothing of the choice of cells, the first nothing of the noise in each.
"""

from dataclasses import dataclass

import numpy as np

from memreg.estimators.bootstrap import quantile, standard_error
from memreg.estimators.counts import Floats

NORMAL = 1.959964


@dataclass(frozen=True)
class Pearson:
    """r over n cells; intervals are 95 %. NaN where n is too small or a side is constant."""

    r: float
    low: float
    high: float
    n: int
    member_low: float = float("nan")
    member_high: float = float("nan")


def pearson(
    x: Floats,
    y: Floats,
    x_reps: Floats | None = None,
    y_reps: Floats | None = None,
    blocks: int = 0,
) -> Pearson:
    """Pearson's r of x and y, shape [cells].

    `low`, `high`: Fisher's z interval, standard error 1/sqrt(n-3), NaN for n < 4. With replicates, shape
    [B, cells], of a bootstrap of `blocks` blocks, `member_low`, `member_high`: the standard error of z over
    the replicates, centred on the estimate.
    """
    keep = ~(np.isnan(x) | np.isnan(y))
    x, y = x[keep], y[keep]
    n, r = len(x), float(_r(x, y))
    low, high = _z_interval(r, 1 / np.sqrt(n - 3) if n > 3 else np.nan)
    if x_reps is None or y_reps is None or n < 3:
        return Pearson(r, low, high, n)
    z = np.arctanh(np.clip(_r(x_reps[:, keep], y_reps[:, keep]), -1 + 1e-12, 1 - 1e-12))
    return Pearson(r, low, high, n, *_z_interval(r, standard_error(z, blocks), quantile(blocks)))


def _r(x: Floats, y: Floats) -> Floats:
    x, y = (a - a.mean(-1, keepdims=True) for a in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.clip(np.where(np.isfinite(r), r, np.nan), -1, 1)


def _z_interval(r: float, error: float, times: float = NORMAL) -> tuple[float, float]:
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return float(np.tanh(z - times * error)), float(np.tanh(z + times * error))
