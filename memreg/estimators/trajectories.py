"""How the score of each example moves along the axis of test accuracy.

Lukasik et al. 2023 (https://arxiv.org/abs/2310.05337) found that larger image classifiers memorize most
examples less, some more, and some most at a middle size. Here the axis is test accuracy, and each of the
three is a test whose false discoveries over all examples are held to 5 % (Benjamini & Hochberg 1995).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, rankdata, t

from memreg.estimators.bootstrap import quantile
from memreg.estimators.counts import Floats

SHAPES = ("rising", "falling", "cap-shaped")
FEWEST = 6  # cells in which a cap can be told from a line
RATE = 0.05


@dataclass(frozen=True)
class Shares:
    """Share of the examples with each shape, [shapes], with 95 % intervals over the choice of cells."""

    share: Floats
    low: Floats
    high: Floats
    examples: int
    cells: int


@dataclass(frozen=True)
class Trajectories:
    """Of the examples of one data set, over its cells in order of test accuracy."""

    accuracy: Floats
    """[cells]"""
    shape: NDArray[np.int64]
    """[examples], as from `shapes`."""
    shares: Shares
    curves: Floats
    """[shapes + 1, cells]: mean score of the examples of each shape, the last those that show none; NaN
    where there are none."""


def trajectories(accuracy: Floats, scores: Floats) -> Trajectories:
    """accuracy: [cells]; scores: [3, cells, examples], from all members and from each half of them.

    For the curves, shapes are told from one half and drawn from the other, both ways: what is selected
    for its noise does not show it again.
    """
    order = np.argsort(accuracy, kind="stable")
    accuracy, (whole, one, other) = accuracy[order], scores[:, order]
    both = []
    for told, drawn in ((one, other), (other, one)):
        shape = shapes(accuracy, told)
        chosen = [drawn[:, shape == i] for i in (*range(len(SHAPES)), -1)]
        both.append([(np.nansum(c, 1), (~np.isnan(c)).sum(1)) for c in chosen])
    total, count = np.array(both, float).sum(0).transpose(1, 0, 2)
    curves = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Trajectories(accuracy, shapes(accuracy, whole), shares(accuracy, whole), curves)


def shapes(accuracy: Floats, score: Floats, rate: float = RATE) -> NDArray[np.int64]:
    """Index into SHAPES of each example's trajectory, -1 where none is shown; [examples].

    accuracy: [cells]; score: [cells, examples], NaN for an unknown one: such an example shows nothing.

    Cells are placed at the rank of their accuracy, so that no far-off cell decides alone. Rising and falling:
    the slope of a straight line, Student's t. Cap-shaped: of a parabola, the slope at the first cell is
    positive and that at the last negative, each one-sided, the larger p counting (Sasabuchi 1980). An
    example that is both cap-shaped and on the whole rising or falling is cap-shaped.
    """
    cells = len(accuracy)
    if cells < FEWEST:
        raise ValueError(f"{cells} cells: a cap needs at least {FEWEST}")
    known = ~np.isnan(score).any(0)
    x = rankdata(accuracy)
    x = (x - x.mean()) / np.ptp(x)
    y = score[:, known]
    line = _tests(np.stack([np.ones(cells), x], 1), y, np.array([[0, 1.0]]))[0]
    parabola = np.stack([np.ones(cells), x, x**2], 1)
    first, last = _tests(parabola, y, np.array([[0, 1, 2 * x.min()], [0, 1, 2 * x.max()]]))
    cap = np.maximum(t.sf(first, cells - 3), t.cdf(last, cells - 3))
    moved = _discovered(2 * t.sf(np.abs(line), cells - 2), rate)
    found = np.full(y.shape[1], -1)
    found[moved & (line > 0)] = 0
    found[moved & (line < 0)] = 1
    found[_discovered(cap, rate)] = 2
    result = np.full(score.shape[1], -1)
    result[known] = found
    return result


def shares(accuracy: Floats, score: Floats, rate: float = RATE) -> Shares:
    """Share of each of SHAPES among the examples with known scores, its interval by leaving each cell out in
    turn (jackknife, Student's t)."""
    cells, known = len(accuracy), ~np.isnan(score).any(0)

    def count(keep: NDArray[np.bool_]) -> Floats:
        found = shapes(accuracy[keep], score[keep][:, known], rate)
        return np.array([(found == i).mean() for i in range(len(SHAPES))])

    share = count(np.ones(cells, bool))
    half = np.full(len(SHAPES), np.nan)
    if cells > FEWEST:
        without = np.stack([count(np.arange(cells) != i) for i in range(cells)])
        error = np.sqrt((cells - 1) / cells * ((without - without.mean(0)) ** 2).sum(0))
        half = quantile(cells - 1) * error
    low, high = np.clip(share - half, 0, 1), np.clip(share + half, 0, 1)
    return Shares(share, low, high, int(known.sum()), cells)


def _tests(design: Floats, y: Floats, contrasts: Floats) -> Floats:
    """t of each contrast of the least-squares coefficients, [contrasts, examples]; 0 where y is constant."""
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    left = y - design @ beta
    variance = (left**2).sum(0) / (design.shape[0] - design.shape[1])
    scale = np.sqrt(np.einsum("ki,ij,kj->k", contrasts, inverse, contrasts))
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.where(
            y.std(0) > 1e-12, contrasts @ beta / (scale[:, None] * np.sqrt(variance)), 0
        )
    return result


def _discovered(p: Floats, rate: float) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = false_discovery_control(p) <= rate if len(p) else np.zeros(0, bool)
    return result
