"""How far an estimate of memorization scores is from leave-one-out's (section 4.2), beside noise alone.

Both are frames with the columns of `scores`, of the same targets in the same order. Both have noise, so
even an estimate of the very same quantity is not within 5 % of the truth for every target: each figure
comes with its value under that hypothesis.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from memreg.estimators.counts import Floats, Mask
from memreg.estimators.threshold import THRESHOLDS, reaches

CLOSE = 0.05
"""The paper's "within 5 % error"."""
DRAWS = 400


@dataclass(frozen=True)
class Comparison:
    """An estimate against the truth."""

    metrics: dict[str, float]
    """`targets`; `within_0.05` (share of targets), `mean_error` (signed: above 0 is overestimation),
    `mean_absolute_error`, `largest_error`; the first three with `_low` and `_high` (95 %, over targets, or
    groups of them), all four with `_noise`: their mean if estimate and truth differed by noise alone.
    `consistent`: share of targets whose two intervals allow no difference, 0.95 by noise alone."""
    thresholds: pd.DataFrame
    """A row per threshold: `marked` and `memorized` (targets with estimate, with truth >= threshold),
    `false_positives` (share of the marked that are not memorized), `false_negatives` (share of the
    memorized that are not marked), both with `_low`, `_high` and `_noise`."""


def compare(
    estimate: pd.DataFrame, truth: pd.DataFrame, group: NDArray[np.int64] | None = None, seed: int = 0
) -> Comparison:
    """Figures of section 4.2 for an estimate. Targets without a score are left out; there must be others.

    group: [targets], the same number for targets whose errors are alike (they share a sub-population). What
    all targets share, as the members on everything, is in no interval.
    """
    known = (estimate["score"].notna() & truth["score"].notna()).to_numpy()
    estimate, truth = estimate[known], truth[known]
    group = np.arange(len(known))[known] if group is None else group[known]
    a, b = estimate["score"].to_numpy(), truth["score"].to_numpy()
    rng = np.random.default_rng(seed)
    noisy, noisy_truth = _drawn(estimate, truth, rng), _drawn(truth, truth, rng)
    metrics = {"targets": float(len(a))}
    observed, noise = _errors(a, b), _errors(noisy, noisy_truth)
    for key, values in observed.items():
        metrics[key], metrics[f"{key}_noise"] = float(values), float(np.mean(noise[key]))
    within = reaches(CLOSE, np.abs(a - b))
    metrics["within_0.05_low"], metrics["within_0.05_high"] = share_interval(within, group)
    for key, values in (("mean_error", a - b), ("mean_absolute_error", np.abs(a - b))):
        metrics[f"{key}_low"], metrics[f"{key}_high"] = mean_interval(values, group)
    metrics["consistent"] = float(_consistent(estimate, truth).mean())
    rows = [{**_at(a, b, group, t), **_noise_at(noisy, noisy_truth, t)} for t in THRESHOLDS]
    return Comparison(metrics, pd.DataFrame(rows))


def mean_interval(values: Floats, group: NDArray[np.int64] | None = None) -> tuple[float, float]:
    """95 % interval of a mean of values, shape [n], by Student's t; NaN for fewer than two groups.

    group: [n], values of one group depend on each other (cluster-robust, Liang & Zeger 1986); by default each
    value is its own.
    """
    group = np.arange(len(values)) if group is None else group
    groups = len(np.unique(group))
    if groups < 2:
        return float("nan"), float("nan")
    half = float(student.ppf(0.975, groups - 1)) * np.sqrt(_variance(values, group))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def share_interval(true: Mask, group: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of a share, by Wilson's method with as many independent values as the groups are worth
    (design effect, Kish 1965); NaN for none. true, group: [n]."""
    from statsmodels.stats.proportion import proportion_confint  # 1 s to import

    if not len(true):
        return float("nan"), float("nan")
    worth, share = float(len(true)), float(np.mean(true))
    if 0 < share < 1 and len(np.unique(group)) > 1:
        worth = min(worth, share * (1 - share) / _variance(true.astype(float), group))
    low, high = proportion_confint(share * worth, worth, method="wilson")
    return float(low), float(high)


def _variance(values: Floats, group: NDArray[np.int64]) -> float:
    """Give the variance of a mean of values that depend on each other within groups."""
    _, number = np.unique(group, return_inverse=True)
    sums = np.bincount(number, values - np.mean(values))
    return float((sums**2).sum() * len(sums) / (len(sums) - 1) / len(values) ** 2)


def by_size(error: Floats, size: NDArray[np.int64], group: NDArray[np.int64]) -> pd.DataFrame:
    """Errors by the size of the target's sub-population, ascending: `size`, `targets`, `groups`, `mean_error`
    and `mean_absolute_error` with `_low` and `_high`.

    Targets of one sub-population share its pattern and label: intervals are those of a mean of group means.
    error, size, group: [targets]; size 0 is for ordinary examples, each of which is its own group.
    """
    frame = pd.DataFrame({"size": size, "mean_error": error, "mean_absolute_error": np.abs(error)})
    frame["group"] = group_numbers(group, size)
    rows = []
    for own, part in frame.groupby("size"):
        means = part.groupby("group")[["mean_error", "mean_absolute_error"]].mean()
        row = {"size": own, "targets": len(part), "groups": len(means)}
        for key in means.columns:
            low, high = mean_interval(means[key].to_numpy())
            row |= {key: means[key].mean(), f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def group_numbers(group: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each sub-population, and one for each ordinary example (size 0), shape [n]."""
    numbers: NDArray[np.int64] = np.where(size > 0, group, -1 - np.arange(len(group)))
    return numbers


def _consistent(estimate: pd.DataFrame, truth: pd.DataFrame) -> Mask:
    """Whether 0 is in the 95 % interval of a difference, made of both scores' (MOVER, Zou & Donner 2008)."""
    a, a_low, a_high = (estimate[key].to_numpy() for key in ("score", "low", "high"))
    b, b_low, b_high = (truth[key].to_numpy() for key in ("score", "low", "high"))
    inside: Mask = (a - b <= np.hypot(a - a_low, b_high - b)) & (b - a <= np.hypot(a_high - a, b - b_low))
    return inside


def _errors(a: Floats, b: Floats) -> dict[str, Floats]:
    error = a - b
    return {
        "within_0.05": reaches(CLOSE, np.abs(error)).mean(-1),
        "mean_error": error.mean(-1),
        "mean_absolute_error": np.abs(error).mean(-1),
        "largest_error": np.abs(error).max(-1),
    }


def _at(a: Floats, b: Floats, group: NDArray[np.int64], threshold: float) -> dict[str, float]:
    marked, memorized = (reaches(scores, threshold) for scores in (a, b))
    row: dict[str, float] = {
        "threshold": threshold,
        "marked": int(marked.sum()),
        "memorized": int(memorized.sum()),
    }
    for key, of, wrong in (("false_positives", marked, ~memorized), ("false_negatives", memorized, ~marked)):
        low, high = share_interval(wrong[of], group[of])
        row |= {
            key: float(np.mean(wrong[of])) if of.any() else np.nan,
            f"{key}_low": low,
            f"{key}_high": high,
        }
    return row


def _noise_at(a: Floats, b: Floats, threshold: float) -> dict[str, float]:
    marked, memorized = (reaches(scores, threshold) for scores in (a, b))
    with np.errstate(invalid="ignore"):
        return {
            "false_positives_noise": float((marked & ~memorized).sum() / marked.sum()),
            "false_negatives_noise": float((memorized & ~marked).sum() / memorized.sum()),
        }


def _drawn(like: pd.DataFrame, truth: pd.DataFrame, rng: np.random.Generator) -> Floats:
    """Scores as noisy as those of `like`, about those of `truth`, shape [DRAWS, targets].

    Binomial where `like` has counts, from the truth's proportions with half an observation of either
    kind added (Jeffreys), so that 0 and 1 are not certain; normal otherwise.
    """
    shape = (DRAWS, len(truth))
    if "included_count" not in like:
        return rng.normal(truth["score"], like["standard_error"], shape)
    p = {}
    for side in ("included", "excluded"):
        count = truth[f"{side}_count"]
        p[side] = (truth[f"{side}_accuracy"] * count + 0.5) / (count + 1)
    draws: Floats = (
        rng.binomial(like["included_count"], p["included"], shape) / like["included_count"].to_numpy()
        - rng.binomial(like["excluded_count"], p["excluded"], shape) / like["excluded_count"].to_numpy()
    )
    return draws
