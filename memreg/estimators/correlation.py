"""Pearson correlation over cells (section 5), with three intervals that answer two questions.

What if other cells had been drawn? Fisher's interval says so for normal data, the cell bootstrap's for any.
What if these cells had been trained again? That is the member interval. It knows nothing of the choice
of cells, and the other two do not know how much of the scatter is noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from memreg.estimators.attenuation import disattenuated, member_errors
from memreg.estimators.bootstrap import quantile
from memreg.estimators.counts import Floats
from memreg.estimators.residuals import residuals

NORMAL = 1.959964
RESAMPLES = 1000
FEWEST = 6  # cells of which a resample is still worth its name
NAN = float("nan")


@dataclass(frozen=True)
class Pearson:
    """r over n cells; intervals are 95 %. NaN where n is too small or a side is constant."""

    r: float
    low: float
    """Fisher's."""
    high: float
    n: int
    member_low: float = NAN
    member_high: float = NAN
    cell_low: float = NAN
    cell_high: float = NAN
    rho: float = NAN
    """Spearman's."""
    rho_low: float = NAN
    rho_high: float = NAN
    corrected: float = NAN
    """r without the noise of finite members; its interval is one over members too."""
    corrected_low: float = NAN
    corrected_high: float = NAN


def pearson(
    x: Floats,
    y: Floats,
    groups: NDArray[np.int64] | None = None,
    given: Floats | None = None,
    noise: Floats | None = None,
    blocks: NDArray[np.int64] | None = None,
) -> Pearson:
    """Pearson's r of x and y, shape [cells].

    groups: a number per cell; r is then that within groups (fixed effects: x and y less their group's means).
    given: [cells], held fixed: the partial correlation.
    noise: [cells, v, v], covariance in each cell of the noise of x, y (and `given`: v = 3) that its members
    leave, from that many independent `blocks` of them, [cells].

    `low`, `high`: z = atanh(r) with standard error 1/sqrt(n - 3 - k), k the groups beyond the first plus one
    for `given` (Fisher 1921); NaN where that is not positive. `rho_...`: Bonett & Wright 2000.
    `cell_...`: the standard deviation of z over resamples of cells, times Student's quantile with n - 2 - k
    degrees of freedom; NaN below 6 cells. `member_...`, `corrected_...`: see `attenuation`.
    """
    v = np.stack([x, y] if given is None else [x, y, given])
    keep = ~np.isnan(v).any(0)
    v, n = v[:, keep], int(keep.sum())
    groups = np.zeros(n, np.int64) if groups is None else np.unique(groups[keep], return_inverse=True)[1]
    k = (groups.max() if n else 0) + len(v) - 2
    r = float(coefficient(v, groups)) if n - k >= 3 else NAN
    z = _z(r)
    fisher = NORMAL / np.sqrt(n - 3 - k) if n - 3 - k > 0 else NAN
    rho = float(coefficient(np.apply_along_axis(rankdata, 1, v), groups)) if n - k >= 3 else NAN
    bonett = fisher * np.sqrt(1 + rho**2 / 2)
    cell = quantile(n - 2 - k) * _cell_error(v, groups) if n >= FEWEST else NAN
    member, corrected, corrected_half = NAN, NAN, NAN
    if noise is not None and blocks is not None and np.isfinite(r):
        corrected = disattenuated(v, groups, noise[keep])
        member, corrected_half = member_errors(v, groups, noise[keep], blocks[keep])
    return Pearson(
        r,
        *_around(z, fisher),
        n,
        *_around(z, member),
        *_around(z, cell),
        rho,
        *_around(_z(rho), bonett),
        corrected,
        *_around(_z(corrected), corrected_half),
    )


def coefficient(v: Floats, groups: NDArray[np.int64]) -> Floats:
    """r of v[0] and v[1] given v[2:], within groups; v: [variables, ..., cells], result [...]."""
    x, y, *given = residuals(v, groups)
    for g in given:
        x, y = _less(x, g), _less(y, g)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    result: Floats = np.clip(np.where(np.isfinite(r), r, np.nan), -1, 1)
    return result


def _less(a: Floats, g: Floats) -> Floats:
    """What of a is not in the direction of g."""
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.nan_to_num((a * g).sum(-1, keepdims=True) / (g**2).sum(-1, keepdims=True))
    part: Floats = slope * g
    return a - part


def _cell_error(v: Floats, groups: NDArray[np.int64]) -> float:
    n = v.shape[1]
    index = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    z = _z(coefficient(v[:, index], groups[index]))
    z = z[np.isfinite(z)]
    return float(z.std()) if z.size else NAN


def _z(r: Floats | float) -> Floats:
    z: Floats = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    return z


def _around(z: Floats, half: float) -> tuple[float, float]:
    return float(np.tanh(z - half)), float(np.tanh(z + half))
