"""How the score of each example moves along the axis of test accuracy.

Lukasik et al. 2023 (https://arxiv.org/abs/2310.05337) found that larger image classifiers memorize most
examples less, some more, and some most at a middle size. Here the axis is test accuracy, and each of the
three is a test whose false discoveries over all examples are held to 5 % (Benjamini & Hochberg 1995).

What is sampled are cells: how hard an example is varies from recipe to recipe, besides the noise that finite
members leave in its score (`between_over_noise`). More members take away the noise alone, more cells both.
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
MOVE = 0.25  # of the score, from which a movement that was not shown is bounded
MISSED = 5  # examples that all move and all seem to move by less have a chance of 2**-5 = 3 %


@dataclass(frozen=True)
class Shares:
    """Share of the examples with each shape, [shapes], with 95 % intervals over the choice of cells."""

    share: Floats
    """Of examples for which the shape is shown."""
    low: Floats
    high: Floats
    """Never below the most that may move by MOVE or more, shown or not."""
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
    between_over_noise: float
    """Variance of examples' scores between cells, movements taken out, over that of their members' noise."""


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
    ratio = between_over_noise(accuracy, whole, one, other)
    return Trajectories(accuracy, shapes(accuracy, whole), shares(accuracy, whole), curves, ratio)


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
    x = _places(accuracy)
    y = score[:, known]
    line = _tests(_powers(x, 1), y, np.array([[0, 1.0]]))[0]
    parabola = _powers(x, 2)
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
    turn (jackknife, Student's t).

    Where few examples are shown to move, that says nothing of those that move unseen. An example that moves
    by MOVE seems to move by as much at least half of the time, so that no more than twice the share which
    seem to do so move so far. The interval ends no lower than that, its own jackknife added, and never below
    MISSED examples.
    """
    cells, known = len(accuracy), ~np.isnan(score).any(0)

    def count(keep: NDArray[np.bool_]) -> Floats:
        """[shown and seeming, shapes]"""
        y = score[keep][:, known]
        found = shapes(accuracy[keep], y, rate)
        shown = [(found == i).mean() for i in range(len(SHAPES))]
        return np.stack([shown, (moves(accuracy[keep], y) >= MOVE).mean(1)])

    share, seeming = both = count(np.ones(cells, bool))
    half = np.full(both.shape, np.nan)
    if cells > FEWEST and known.any():
        without = np.stack([count(np.arange(cells) != i) for i in range(cells)])
        error = np.sqrt((cells - 1) / cells * ((without - without.mean(0)) ** 2).sum(0))
        half = quantile(cells - 1) * error
    unseen = np.maximum(2 * (seeming + half[1]), MISSED / max(1, known.sum()))
    low, high = np.clip(share - half[0], 0, 1), np.clip(np.maximum(share + half[0], unseen), 0, 1)
    return Shares(share, low, high, int(known.sum()), cells)


def moves(accuracy: Floats, score: Floats) -> Floats:
    """How far each example seems to rise, to fall, and to stand above its ends in the middle; [shapes,
    examples]. From the first cell to the last, along the line and the parabola of `shapes`."""
    x = _places(accuracy)
    rise = (np.linalg.pinv(_powers(x, 1)) @ score)[1]
    bend = (np.linalg.pinv(_powers(x, 2)) @ score)[2]
    return np.stack([rise, -rise, -bend / 4])


def between_over_noise(accuracy: Floats, whole: Floats, one: Floats, other: Floats) -> float:
    """Over all examples; scores [cells, examples], from all members and from each half of them. NaN where
    there are no halves.

    The variance around each example's parabola, less that of its noise: a quarter of the mean square by which
    halves differ.
    """
    known = ~np.isnan(whole + one + other).any(0)
    parabola = _powers(_places(accuracy), 2)
    y = whole[:, known]
    left = y - parabola @ (np.linalg.pinv(parabola) @ y)
    total = (left**2).sum() / (len(accuracy) - parabola.shape[1])
    noise = ((one - other)[:, known] ** 2).mean(0).sum() / 4
    return float(total / noise - 1) if noise > 0 else float("nan")


def _places(accuracy: Floats) -> Floats:
    """Place cells by the rank of their accuracy, from -1/2 to 1/2."""
    rank = rankdata(accuracy)
    x: Floats = (rank - rank.mean()) / np.ptp(rank)
    return x


def _powers(x: Floats, degree: int) -> Floats:
    """[cells, degree + 1]"""
    return np.vander(x, degree + 1, increasing=True)


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
