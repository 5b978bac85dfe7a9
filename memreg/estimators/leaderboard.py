"""How well cheap proxies stand in for leave-one-out scores.

A proxy is cheap where it needs few networks. It gives a value to each of t targets, in units of its own, and
larger values mean more memorized. Ranks are compared as they are; errors are compared after each proxy's
values are calibrated to the truth, where no target's own truth takes part in its calibration. The truth has
noise too, so `Truth` tells what a perfect proxy would reach (`ceiling`, `floor`), and what one that knows
nothing reaches (`constant`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from scipy.stats import t as student

from memreg.estimators.approximation import mean_interval
from memreg.estimators.bootstrap import quantile
from memreg.estimators.counts import Floats, Mask
from memreg.estimators.threshold import reaches

MEMORIZED = (0.25, 0.45)
"""A target that reaches such a threshold counts as memorized."""
FOLDS = 10
DRAWS = 1000
"""So many times the units are drawn for the intervals over targets."""
SEED = 0
NAN = float("nan")


def calibrated(values: Floats, truth: Floats, unit: NDArray[np.int64], folds: int = FOLDS) -> Floats:
    """Give what a proxy's values say of the truth, [t]: a fit of other units that only rises with the value.

    values, truth, unit: [t]. The units are dealt to folds in a fixed order, and each fold is predicted by an
    isotonic regression on the others, so no fit sees a target that it predicts, nor any target of that one's
    unit. A target whose value is NaN takes no part in a regression; its prediction is the mean truth of the
    other folds.
    """
    from sklearn.isotonic import IsotonicRegression  # 1 s to import

    fold = _dealt(unit, folds)
    known = ~np.isnan(values)
    predicted = np.empty(len(values))
    for number in range(fold.max() + 1):
        own, fit = fold == number, fold != number
        predicted[own] = truth[fit].mean()
        own, fit = own & known, fit & known
        if own.any() and fit.any():
            model = IsotonicRegression(increasing=True, out_of_bounds="clip")
            predicted[own] = model.fit(values[fit], truth[fit]).predict(values[own])
    return predicted


@dataclass(frozen=True, eq=False)
class Truth:
    """Leave-one-out scores of t targets; none of them is NaN."""

    truth: Floats
    """The scores, [t]; noise can make them negative."""
    noise: Floats
    """Their standard errors, [t]."""
    halves: Floats
    """Scores from either half of the networks, [2, t]."""
    unit: NDArray[np.int64]
    """Targets of one sub-population share a number, and stand and fall together; each other target has a
    number of its own, [t]."""
    size: NDArray[np.int64]
    """The number of examples of the target's sub-population, [t]."""

    @property
    def ceiling(self) -> float:
        """Spearman's rho that a perfect proxy would have: the root of the truth's reliability.

        The halves' rho gives the reliability of both halves together (Spearman 1910, Brown 1910). Ranks do
        not add up as scores do, so this is approximate. It is NaN where the halves do not agree at all.
        """
        rho = float(spearmanr(self.halves[0], self.halves[1]).statistic)
        return min(float(np.sqrt(2 * rho / (1 + rho))), 1.0) if rho > 0 else NAN

    @property
    def floor(self) -> float:
        """The mean absolute error that a perfect proxy would have, because the truth has (normal) noise."""
        return float(np.mean(self.noise) * np.sqrt(2 / np.pi))

    @cached_property
    def constant(self) -> Floats:
        """The absolute error of each target, [t], when it is predicted by the mean truth of other folds."""
        nothing = np.zeros(len(self.truth))
        return np.abs(calibrated(nothing, self.truth, self.unit) - self.truth)


class Figure(NamedTuple):
    """A figure of a proxy, the mean over its repetitions, with two 95 % intervals."""

    value: float
    low: float
    high: float
    """Over targets: percentiles of the figure, as units are drawn with replacement. The draws are the same
    for all proxies of the same targets; networks and calibrated predictions are held as they are."""
    network_low: float
    network_high: float
    """Over networks: Student's interval of the figure's expected value over networks, for these targets. It
    is NaN for fewer than two repetitions."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A proxy at some number of networks."""

    spearman: Figure
    """Spearman's rho of values and truth; it is 0 where a side does not vary."""
    error: Figure
    """The mean absolute error after calibration."""
    average_precision: dict[float, Figure]
    """At each threshold of MEMORIZED, how well the values find the memorized targets. It is NaN where no
    target or every target is memorized; such draws are left out of an interval."""
    recall: dict[float, Figure]
    """At each threshold, the share of the memorized targets that are among as many targets of highest value,
    NaN as above. Where tied values straddle the cut, this is its expected value over their orders."""
    errors: Floats
    """The absolute error of each target after calibration, the mean over repetitions, [t]."""
    missing: int
    """The number of values that are NaN, of p x t. Rho, average precision and recall take each as the median
    of its repetition's values."""


def judge(values: Floats, truth: Truth) -> Judged:
    """Judge a proxy by its values, [p, t]: each of p repetitions is from other networks."""
    errors = np.stack([np.abs(calibrated(own, truth.truth, truth.unit) - truth.truth) for own in values])
    filled = np.stack([_filled(own) for own in values])
    counts = _drawn(truth.unit)
    precision, recall = {}, {}
    for threshold in MEMORIZED:
        memorized = np.asarray(reaches(truth.truth, threshold))
        pairs = [_found(own, memorized, counts) for own in filled]
        precision[threshold] = _figure(np.stack([one for one, _ in pairs]))
        recall[threshold] = _figure(np.stack([other for _, other in pairs]))
    return Judged(
        _figure(np.stack([_rho(own, truth.truth, counts) for own in filled])),
        _figure(np.stack([_mean(own, counts) for own in errors])),
        precision,
        recall,
        errors.mean(0),
        int(np.isnan(values).sum()),
    )


def absolute_error(values: Floats, truth: Truth) -> Figure:
    """The mean absolute error of values, [p, t], that are scores themselves, as they are: not calibrated.

    A target whose value is NaN counts with the error of its repetition's mean value.
    """
    counts = _drawn(truth.unit)
    known = [np.where(np.isnan(own), np.nanmean(own), own) for own in values]
    return _figure(np.stack([_mean(np.abs(own - truth.truth), counts) for own in known]))


def error_by_size(errors: Floats, truth: Truth) -> pd.DataFrame:
    """Give the mean error by the sub-population's size, ascending.

    errors: [t]. The columns are `size`, `targets`, `error`, `low` and `high`; the interval is Student's over
    units, and NaN for one unit.
    """
    rows = []
    for size in np.unique(truth.size):
        own = truth.size == size
        low, high = mean_interval(errors[own], truth.unit[own])
        rows.append((int(size), int(own.sum()), float(errors[own].mean()), low, high))
    return pd.DataFrame(rows, columns=["size", "targets", "error", "low", "high"])


def against_best(errors: Mapping[str, Floats], unit: NDArray[np.int64]) -> pd.DataFrame:
    """Compare each proxy's errors with those of the best, which has the lowest mean, target by target.

    errors: of each proxy, [t]; unit: [t]. The columns are `proxy`; `difference` (its mean error minus the
    best's) with `low` and `high`; `p`, of the hypothesis that there is no difference; and `p_holm`, which is
    Holm's over all proxies but the best. Standard errors are robust to dependence within units, and the
    distribution is Student's with a degree of freedom less than there are units. The best's own row has a
    difference of 0, and NaN in the other columns. The best is chosen by the same targets, so its lead is a
    little too large, and p a little too small.
    """
    from statsmodels.stats.multitest import multipletests  # 1 s to import

    best = min(errors, key=lambda proxy: float(errors[proxy].mean()))
    rows = [
        (proxy, 0.0, NAN, NAN, NAN) if proxy == best else (proxy, *_difference(own - errors[best], unit))
        for proxy, own in errors.items()
    ]
    frame = pd.DataFrame(rows, columns=["proxy", "difference", "low", "high", "p"])
    tested = frame["p"].notna().to_numpy()
    frame["p_holm"] = NAN
    if tested.any():
        frame.loc[tested, "p_holm"] = multipletests(frame.loc[tested, "p"], method="holm")[1]
    return frame


def _dealt(unit: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Deal the units to folds, as evenly as can be; the result is the fold of each target, [t]."""
    distinct, number = np.unique(unit, return_inverse=True)
    folds = min(folds, len(distinct))
    if folds < 2:
        raise ValueError(f"calibration needs two folds or more, and two units or more: {len(distinct)} units")
    fold = np.empty(len(distinct), np.int64)
    fold[np.random.default_rng(SEED).permutation(len(distinct))] = np.arange(len(distinct)) % folds
    dealt: NDArray[np.int64] = fold[number]
    return dealt


def _filled(values: Floats) -> Floats:
    """Put the median in place of NaN, [t]; values that are all NaN become 0."""
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), np.median(known) if len(known) else 0.0, values)


def _drawn(unit: NDArray[np.int64]) -> Floats:
    """Count how often each target is in a sample, [1 + DRAWS, t]: the first sample has each target once, and
    the others are of units drawn with replacement."""
    distinct, number = np.unique(unit, return_inverse=True)
    n = len(distinct)
    draws = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), DRAWS)
    return np.concatenate([np.ones((1, len(unit))), draws[:, number]])


def _figure(of: Floats) -> Figure:
    """Make a figure of its values from each repetition on each sample, [p, 1 + DRAWS]."""
    draws = of[:, 1:].mean(0)
    draws = draws[~np.isnan(draws)]
    low, high = np.percentile(draws, [2.5, 97.5]) if len(draws) else (NAN, NAN)
    return Figure(float(of[:, 0].mean()), float(low), float(high), *mean_interval(of[:, 0]))


def _mean(values: Floats, counts: Floats) -> Floats:
    """Take the mean of values, [t], on each sample; counts: [samples, t], as everywhere below."""
    mean: Floats = (values * counts).sum(1) / counts.sum(1)
    return mean


def _rho(a: Floats, b: Floats, counts: Floats) -> Floats:
    """Take Spearman's rho of a and b, both [t], on each sample; it is 0 where a side does not vary."""
    x, y = _ranks(a, counts), _ranks(b, counts)
    x, y = (ranks - _mean(ranks, counts)[:, None] for ranks in (x, y))
    norm = np.sqrt((counts * x**2).sum(1) * (counts * y**2).sum(1))
    rho: Floats = np.divide((counts * x * y).sum(1), norm, out=np.zeros(len(counts)), where=norm > 0)
    return rho


def _ranks(values: Floats, counts: Floats) -> Floats:
    """Rank the targets within each sample, [samples, t]; tied ones share their mean rank."""
    tied = _by_value(values, counts)
    number = np.unique(values, return_inverse=True)[1]
    ranks: Floats = (np.cumsum(tied, axis=1) - (tied - 1) / 2)[:, number]
    return ranks


def _found(values: Floats, memorized: Mask, counts: Floats) -> tuple[Floats, Floats]:
    """Take average precision and recall at equal size on each sample; values, memorized: [t].

    scikit-learn's average precision has the same values, one sample at a time, which takes several seconds.
    """
    tied, hits = _by_value(-values, counts), _by_value(-values, counts * memorized)
    upto, total = np.cumsum(tied, axis=1), hits.sum(1, keepdims=True)
    precision = np.divide(np.cumsum(hits, axis=1), upto, out=np.zeros_like(tied), where=upto > 0)
    chosen = np.clip(total - (upto - tied), 0, tied)
    share = np.divide(chosen, tied, out=np.zeros_like(tied), where=tied > 0)
    both = (total[:, 0] > 0) & (total[:, 0] < upto[:, -1])
    average, recall = (
        np.divide((hits * of).sum(1), total[:, 0], out=np.full(len(counts), NAN), where=both)
        for of in (precision, share)
    )
    return average, recall


def _by_value(values: Floats, counts: Floats) -> Floats:
    """Add up the counts of tied targets: [samples, distinct values], ascending."""
    order = np.argsort(values, kind="stable")
    first = np.unique(values[order], return_index=True)[1]
    sums: Floats = np.add.reduceat(counts[:, order], first, axis=1)
    return sums


def _difference(differences: Floats, unit: NDArray[np.int64]) -> tuple[float, float, float, float]:
    """Give the mean of differences, [t], with its interval and p; all but the mean are NaN for one unit."""
    mean, (low, high) = float(differences.mean()), mean_interval(differences, unit)
    degrees = len(np.unique(unit)) - 1
    error = (high - low) / 2 / quantile(degrees)
    if error == 0:
        return mean, low, high, float(mean == 0)
    return mean, low, high, float(2 * student.sf(abs(mean) / error, degrees))
