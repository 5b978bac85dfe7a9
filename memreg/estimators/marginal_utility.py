"""Marginal utility: how much test accuracy changes when examples are removed (section 3.3).

Accuracies are of members, [k]; member i of either arm has the same seed. Members are one sample and test
images another: `difference` says what other members would do on these images, `over_images` what these
members would do on others, `over_both` what others would do on others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import pearsonr
from scipy.stats import t as student

from memreg.estimators.arms import Arm
from memreg.estimators.counts import Floats, Mask

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
    """Compare by Student's t over pairs where pairing helps, else by Welch's. NaN for fewer than two."""
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
    """Compare by Student's t over test images, with the members as they are; NaN for fewer than two.

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


@dataclass(frozen=True, eq=False)
class Right:
    """Which test images each member of an arm gets right."""

    member: NDArray[np.int64]
    """Index of each member, shape [k]."""
    images: Mask
    """Shape [k, n_test]."""


def compare_arms(
    arms: Sequence[Arm],
    right: Mapping[str, Right],
    everything: str,
    masks: Mapping[str, Sequence[Mask]],
    margin: float,
) -> pd.DataFrame:
    """A row per kind of test images and arm, in points of accuracy; docs/registry.md has the columns.

    right: by cell hash, of every arm and of `everything`, the cell without removals. masks: by the name of a
    kind of test images, for each arm those that count, [n_test]; arms without any have no row. margin: in
    points, the largest difference that counts as none.
    """
    control = {arm.threshold: right[arm.cell] for arm in arms if arm.name == "random"}
    rows = []
    for images, own in masks.items():
        for arm, mask in zip(arms, own, strict=True):
            if not mask.any():
                continue
            rows.append(
                {
                    "images": images,
                    "threshold": arm.threshold,
                    "arm": arm.name,
                    "removed": arm.removed,
                    "test_images": int(mask.sum()),
                    **_from_everything(right[arm.cell], right[everything], mask, margin),
                    **_from_random(arm, right, control.get(arm.threshold), mask),
                }
            )
    table = pd.DataFrame(rows)
    for key in ("p", "p_equivalent"):
        table[f"{key}_holm"] = table.groupby(["images", "arm"])[key].transform(lambda p: holm(p.tolist()))
    return table


def _from_everything(arm: Right, everything: Right, mask: Mask, margin: float) -> dict[str, float | bool]:
    whole, images = _differences(arm, everything, mask)
    both = over_both(whole, images)
    return {
        "members": len(arm.member),
        "test_accuracy": 100 * float(arm.images[:, mask].mean(1).mean()),
        "difference": whole.mean,
        "sd": whole.sd,
        "standard_error": whole.standard_error,
        "difference_low": whole.low,
        "difference_high": whole.high,
        "difference_images_low": images.low,
        "difference_images_high": images.high,
        "difference_both_low": both.low,
        "difference_both_high": both.high,
        "paired": whole.paired,
        "p": whole.p,
        "p_equivalent": whole.equivalence_p(margin),
    }


def _from_random(
    arm: Arm, right: Mapping[str, Right], control: Right | None, mask: Mask
) -> dict[str, float | bool]:
    known = control is not None and control is not right[arm.cell]
    against = _differences(right[arm.cell], control, mask)[0] if known and control else None
    names = {"mean": "from_random", "low": "from_random_low", "high": "from_random_high"}
    return {name: getattr(against, key) if against else float("nan") for key, name in names.items()}


def _differences(a: Right, b: Right, mask: Mask) -> tuple[Difference, Difference]:
    """Compare in points, over the members that both arms have, and over test images."""
    _, i, j = np.intersect1d(a.member, b.member, return_indices=True)
    x, y = a.images[i][:, mask], b.images[j][:, mask]
    return difference(100 * x.mean(1), 100 * y.mean(1)), over_images(100 * x.mean(0), 100 * y.mean(0))


def holm(p: Sequence[float]) -> Floats:
    """Holm's adjustment of several tests (1979); NaN stays NaN and does not count.

    The i-th smallest of m values becomes the largest of (m - j) p_j, j up to i counted from 0, or 1.
    statsmodels' has the same values, and collects garbage at each call, which takes up to half a second.
    """
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]
    steps = values[order] * np.arange(len(order), 0, -1)
    values = values.copy()
    values[order] = np.minimum(np.maximum.accumulate(steps), 1)
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
