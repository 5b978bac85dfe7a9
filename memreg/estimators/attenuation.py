"""A correlation over cells of finitely many members varies when they are trained again, and is biased.

Observed moments are those of the cells plus the mean noise (Spearman 1904, for noise that is correlated
between the axes: a lucky member is lucky on both). A counted fraction moreover has a bias at few members,
which is not in the noise and not corrected.
"""

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.bootstrap import quantile
from memreg.estimators.counts import Floats
from memreg.estimators.residuals import residuals


def disattenuated(v: Floats, groups: NDArray[np.int64], noise: Floats) -> float:
    """r of v[0] and v[1] (given v[2], where there is one), within groups, as with infinitely many members.

    v: [variables, cells]; noise: [cells, variables, variables]. +-1 where less than the noise is left of the
    scatter around the line, NaN where less than the noise is left of an axis.
    """
    return _r(_moments(v, groups) - _total(noise, groups))


def member_errors(
    v: Floats, groups: NDArray[np.int64], noise: Floats, blocks: NDArray[np.int64]
) -> tuple[float, float]:
    """Half the 95 % intervals of atanh(r) and of atanh(`disattenuated`), as members vary; blocks: [cells].

    By the delta method, cells independent of each other, with Welch and Satterthwaite's degrees of freedom.
    That of the second counts the uncertainty of the noise itself (Wishart's). Cells whose members share their
    masks are a little alike, which cancels in r: the intervals are then wide rather than narrow.
    """
    left, whole = residuals(v, groups), _moments(v, groups)
    halves = []
    for moments, corrected in ((whole, False), (whole - _total(noise, groups), True)):
        if not abs(_r(moments)) < 1:
            halves.append(float("nan"))
            continue
        slope = _slope(moments)
        by_value = 2 * slope @ left
        variance = np.einsum("ic,cij,jc->c", by_value, noise, by_value)
        if corrected:
            product = np.einsum("ij,cjk->cik", slope, noise)
            variance += 2 * _own(groups) ** 2 * np.einsum("cij,cji->c", product, product) / (blocks - 1)
        total = variance.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            degrees = total**2 / (variance**2 / (blocks - 1)).sum()
        halves.append(quantile(degrees) * float(np.sqrt(total)) if total > 0 else float("nan"))
    return halves[0], halves[1]


def _moments(v: Floats, groups: NDArray[np.int64]) -> Floats:
    left = residuals(v, groups)
    moments: Floats = left @ left.T
    return moments


def _own(groups: NDArray[np.int64]) -> Floats:
    """What part of each cell's own noise is in its residual: the diagonal of the projection, [cells]."""
    own: Floats = 1 - 1 / np.bincount(groups)[groups]
    return own


def _total(noise: Floats, groups: NDArray[np.int64]) -> Floats:
    """The noise in the moments."""
    return np.asarray(np.einsum("c,cij->ij", _own(groups), noise))


def _r(moments: Floats) -> float:
    """Correlate the first two variables, given the third where there is one."""
    if len(moments) == 3:
        moments = moments[:2, :2] - np.outer(moments[:2, 2], moments[2, :2]) / moments[2, 2]
    if not (moments[0, 0] > 0 and moments[1, 1] > 0):
        return float("nan")
    return float(np.clip(moments[0, 1] / np.sqrt(moments[0, 0] * moments[1, 1]), -1, 1))


def _slope(moments: Floats) -> Floats:
    """Derivative of atanh(r) by each moment, a symmetric matrix."""
    slope = np.zeros_like(moments)
    scale = np.sqrt(np.maximum(np.outer(np.diag(moments), np.diag(moments)), 0))
    for i, j in zip(*np.triu_indices(len(moments)), strict=True):
        step = np.zeros_like(moments)
        step[i, j] = step[j, i] = h = 1e-6 * scale[i, j] * (1 - abs(_r(moments)))
        if not h > 0:  # a constant, or a perfect correlation
            slope[i, j] = slope[j, i] = np.nan
            continue
        ends = [_r(moments + sign * step) for sign in (1, -1)]
        if max(map(abs, ends)) < 1:
            slope[i, j] = slope[j, i] = np.subtract(*np.arctanh(ends)) / (2 * h) / (1 if i == j else 2)
        else:  # so nearly perfect that atanh has no slope
            slope[i, j] = slope[j, i] = np.nan
    return slope
