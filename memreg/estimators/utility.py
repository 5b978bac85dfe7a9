"""Marginal utility: how much test accuracy changes when examples are removed (section 3.3).

Accuracies are of members, [k]; member i of either arm has the same seed. Members are one sample and test
images another: `difference` says what other members would do on these images, `over_images` what these
members would do on others, `over_both` what others would do on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from memreg.estimators.counts import Floats

PAIRED = 0.05
"""Seeds are paired where members of equal seed are alike: correlated above 0, at this level."""


@dataclass(frozen=True)
class Difference:
    """Mean of a - b with its 95 % interval."""

    mean: float
    sd: float
    """Of the difference of two members: paired ones, or any two."""
    standard_error: float
    df: float
    paired: bool

    @property
    def low(self) -> float:
        return self.mean - float(student.ppf(0.975, self.df)) * self.standard_error

    @property
    def high(self) -> float:
        return self.mean + float(student.ppf(0.975, self.df)) * self.standard_error

    @property
    def p(self) -> float:
        """Two-sided, of no difference."""
        if self.standard_error == 0:
            return float(self.mean == 0)
        return float(2 * student.sf(abs(self.mean) / self.standard_error, self.df))

    def equivalence_p(self, margin: float) -> float:
        """TOST (Schuirmann 1987): of a difference of `margin` or more, either way."""
        if self.standard_error == 0:
            return float(abs(self.mean) >= margin)
        return float(student.sf((margin - abs(self.mean)) / self.standard_error, self.df))


def difference(a: Floats, b: Floats) -> Difference:
    """By Student's t over pairs where pairing helps, else by Welch's; NaN for fewer than two members."""
    k = min(len(a), len(b))
    mean = float(np.mean(a) - np.mean(b))
    if k < 2:
        nan = float("nan")
        return Difference(mean, nan, nan, nan, False)
    if len(a) == len(b) and k > 3 and _alike(a, b):
        return _paired(a, b)
    va, vb = np.var(a, ddof=1), np.var(b, ddof=1)
    per = va / len(a) + vb / len(b)
    if per == 0:
        return Difference(mean, 0.0, 0.0, k - 1, False)
    df = per**2 / ((va / len(a)) ** 2 / (len(a) - 1) + (vb / len(b)) ** 2 / (len(b) - 1))
    return Difference(mean, float((va + vb) ** 0.5), float(per**0.5), float(df), False)


def over_images(a: Floats, b: Floats) -> Difference:
    """By Student's t over test images, the members as they are; NaN for fewer than two.

    a, b: [images], the share of each arm's members that get each image right.
    """
    if len(a) < 2:
        nan = float("nan")
        return Difference(float(np.mean(a) - np.mean(b)), nan, nan, nan, True)
    return _paired(a, b)


def over_both(members: Difference, images: Difference) -> Difference:
    """Over members and test images: both variances added, with Welch's degrees of freedom.

    It errs on the wide side by the noise of single predictions, which is in both variances (Owen 2007,
    Annals of Applied Statistics 1: 386-411).
    """
    parts = [(d.standard_error**2, d.df) for d in (members, images)]
    variance = sum(part for part, _ in parts)
    shares = sum(part**2 / df for part, df in parts)
    df = variance**2 / shares if shares else members.df
    return Difference(members.mean, float("nan"), variance**0.5, df, members.paired)


def holm(p: Sequence[float]) -> Floats:
    """Holm's adjustment of several tests; NaN stays NaN and does not count."""
    values = np.asarray(p, float)
    known = ~np.isnan(values)
    if known.any():
        values[known] = multipletests(values[known], method="holm")[1]
    return values


def knee(scores: Floats) -> float:
    """The score at the knee of the curve of sorted scores: where it lies farthest below its chord.

    From the largest score to the smallest, both axes scaled to 0..1 (the Kneedle of Satopaa et al. 2011
    without smoothing). scores: [n], without NaN.
    """
    ordered = np.sort(scores)[::-1]
    if ordered[0] == ordered[-1]:
        return float(ordered[0])
    x = np.linspace(0, 1, len(ordered))
    y = (ordered - ordered[-1]) / (ordered[0] - ordered[-1])
    return float(ordered[np.argmax(1 - x - y)])


def _paired(a: Floats, b: Floats) -> Difference:
    sd = float(np.std(a - b, ddof=1))
    return Difference(float(np.mean(a - b)), sd, sd / len(a) ** 0.5, len(a) - 1, True)


def _alike(a: Floats, b: Floats) -> bool:
    if np.std(a) == 0 or np.std(b) == 0:
        return False
    return bool(pearsonr(a, b, alternative="greater").pvalue < PAIRED)
