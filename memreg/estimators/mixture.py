"""What share of the examples is memorized in truth: the distribution of true scores behind noisy ones.

A score from few members is noisy, and the share of noisy scores at or above a threshold is not the share of
true ones. But the noise is known: an example that included members get right with probability p1 and excluded
ones with p0 has two binomial counts. The distribution of (p1, p0) over the examples is estimated by
nonparametric maximum likelihood (Kiefer & Wolfowitz 1956; Laird 1978), and the share follows from it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from memreg.estimators.counts import Counts, Floats, Numbers

FEWEST = 6
"""Members that include and that exclude an example on average, below which no share is estimated."""
POINTS = np.sin(np.pi / 2 * np.linspace(0, 1, 41)) ** 2
"""Values that p1 and p0 can take: closer to each other near 0 and 1, where a binomial proportion is less
noisy."""
DIFFERENCE = POINTS[:, None] - POINTS
_SPACING = np.gradient(POINTS)
SPACING = (_SPACING[:, None] + _SPACING) / 2
"""How far each difference is from the next ones: what a point stands for."""
START = np.exp(-np.abs(DIFFERENCE) / 0.05)
"""Weights before the first iteration, which favour scores near 0 where the counts do not say."""
BINS = 40
"""Of an axis at most; proportions are put into bins where more values are possible."""
STEPS = 10
"""Iterations between two looks at the likelihood."""
GAIN = 0.1
"""Of the log likelihood in so many iterations, below which the estimate is taken."""
AT_MOST = 500
"""Looks at the likelihood."""
DROP = float(chi2.ppf(0.95, 1)) / 2
"""Of the log likelihood at the ends of a 95 % interval."""
TRIALS = 9
"""Of shares, to find the end of an interval."""
LOOKS = 12
"""At the likelihood of a share, before it is ruled out."""
STIR = 0.02
"""Weight of START in what a search starts from, so that no weight is 0."""
TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Table:
    """Examples by their two counts."""

    examples: Floats
    """How many have both counts, shape [included, excluded]."""
    included: Floats
    """Probability of each count at each of POINTS, shape [included, points]."""
    excluded: Floats
    """Likewise, shape [excluded, points]."""


def enough(counts: Counts) -> bool:
    """Whether examples are included and excluded by FEWEST members on average; counts: shapes [n]."""
    known = _known(counts)
    least = min(known.included.sum(), known.excluded.sum())
    return len(known.included) > 0 and bool(least >= FEWEST * len(known.included))


def table(counts: Counts) -> Table:
    """Those examples that some member includes and some excludes; counts: shapes [n].

    Where the numbers of members differ between examples, they are taken for independent of how hard an
    example is, as they are where masks are random.
    """
    counts = _known(counts)
    row, included = _axis(counts.included_correct, counts.included)
    column, excluded = _axis(counts.excluded_correct, counts.excluded)
    examples = np.zeros((len(included), len(excluded)))
    np.add.at(examples, (row, column), 1)
    return Table(examples, included, excluded)


def fit(table: Table) -> Floats:
    """Weights of (p1, p0), shape [points, points], by expectation maximisation."""
    weights: Floats = START / START.sum()
    last = _log_likelihood(table, weights)
    for _ in range(AT_MOST):
        for _ in range(STEPS):
            weights = _improved(table, weights)
        now = _log_likelihood(table, weights)
        if now - last < GAIN:
            break
        last = now
    return weights


def shares(weights: Floats, thresholds: Floats) -> Floats:
    """Share of the examples with p1 - p0 >= each threshold, shape [thresholds].

    A point stands for what is nearer to it than to the next one: where that is partly above the threshold, it
    counts in part.
    """
    result: Floats = np.stack([(weights * _above(t)).sum() for t in thresholds])
    return result


def share_intervals(table: Table, weights: Floats, thresholds: Floats) -> tuple[Floats, Floats]:
    """95 % interval of each share, shapes [thresholds]: values that the counts do not rule out.

    Those that some distribution has whose likelihood is within a 95 % likelihood ratio of the largest
    (profile likelihood). Where counts cannot tell scores just above a threshold from ones just below it, the
    interval is wide. weights: as `fit` gives them.
    """
    above = np.stack([_above(t) > 0.5 for t in thresholds])
    least = _log_likelihood(table, weights) - DROP
    ends = [_end(table, weights, above, least, extreme) for extreme in (0.0, 1.0)]
    found = shares(weights, thresholds)
    return np.minimum(ends[0], found), np.maximum(ends[1], found)


def _known(counts: Counts) -> Counts:
    both = (counts.included > 0) & (counts.excluded > 0)
    return counts.each(lambda a: a[both])


def _end(table: Table, weights: Floats, above: NDArray[np.bool_], least: Floats, extreme: float) -> Floats:
    """How far each share, [thresholds], can be moved towards 0 or 1 before its likelihood is not enough.

    The distance is doubled until that is so, and then halved between what is possible and what is not.
    """
    inside = (weights * above).sum((1, 2))
    outside = np.full_like(inside, np.nan)
    distance = np.sqrt((inside * (1 - inside) + 1 / table.examples.sum()) / table.examples.sum())
    held = np.repeat(weights[None], len(inside), 0)
    for _ in range(TRIALS):
        further = np.clip(inside + np.copysign(distance, extreme - 0.5), 0, 1)
        share = np.where(np.isnan(outside), further, (inside + outside) / 2)
        tried, possible = _held_to(share, above, held, table, least)
        inside = np.where(possible, share, inside)
        outside = np.where(possible, outside, share)
        distance = 2 * distance
        held = np.where(possible[:, None, None], tried, held)
    ends: Floats = np.where(np.isnan(outside), inside, (inside + outside) / 2)
    return ends


def _held_to(
    share: Floats, above: NDArray[np.bool_], near: Floats, table: Table, least: Floats
) -> tuple[Floats, Numbers]:
    """Weights with such a share `above`, improved from those that are `near` until the log likelihood is at
    `least` so much, shape [shares, points, points], and whether it is, [shares]."""
    weights = _scaled((1 - STIR) * near + STIR * START / START.sum(), share, above)
    possible = np.zeros(len(share), bool)
    for _ in range(LOOKS):
        tried = weights[~possible]
        for _ in range(STEPS):
            tried = _scaled(_improved(table, tried), share[~possible], above[~possible])
        weights[~possible] = tried
        possible[~possible] = _log_likelihood(table, tried) >= least
        if possible.all():
            break
    return weights, possible


def _scaled(weights: Floats, share: Floats, above: NDArray[np.bool_]) -> Floats:
    inside = (weights * above).sum((1, 2))
    outside = (weights * ~above).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.nan_to_num(share / inside), np.nan_to_num((1 - share) / outside)
    result: Floats = weights * np.where(above, factors[0][:, None, None], factors[1][:, None, None])
    return result


def _improved(table: Table, weights: Floats) -> Floats:
    """One step of expectation maximisation; weights: [..., points, points]."""
    ratio = table.examples / np.maximum(_density(table, weights), TINY)
    result: Floats = weights * (table.included.T @ ratio @ table.excluded) / table.examples.sum()
    return result


def _log_likelihood(table: Table, weights: Floats) -> Floats:
    """Shape [...]."""
    density = np.maximum(_density(table, weights), TINY)
    result: Floats = (table.examples * np.log(density)).sum((-2, -1))
    return result


def _density(table: Table, weights: Floats) -> Floats:
    result: Floats = table.included @ weights @ table.excluded.T
    return result


def _above(threshold: float) -> Floats:
    """What part of each point is at or above the threshold, shape [points, points]."""
    result: Floats = np.clip(0.5 + (DIFFERENCE - threshold) / SPACING, 0, 1)
    return result


def _axis(right: Numbers, of: Numbers) -> tuple[Numbers, Floats]:
    """The row of each example, [n], and the probability of each row at each of POINTS, [rows, points]."""
    most = int(of.max())
    if most < BINS and of.min() == most:
        return right, binom.pmf(np.arange(most + 1)[:, None], most, POINTS)
    probability = np.zeros((BINS, len(POINTS)))
    for number, times in zip(*np.unique(of, return_counts=True), strict=True):
        possible = np.arange(number + 1)
        own = binom.pmf(possible[:, None], number, POINTS)
        np.add.at(probability, _bin(possible, number), own * times / len(of))
    return _bin(right, of), probability


def _bin(right: Numbers, of: Numbers) -> Numbers:
    """Bins of proportions, evenly wide on the scale on which POINTS are."""
    scale = np.arcsin(np.sqrt(right / of)) / (np.pi / 2)
    bins: Numbers = np.minimum((scale * BINS).astype(int), BINS - 1)
    return bins
