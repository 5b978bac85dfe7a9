"""Resampling members: what is averaged over examples still varies with the members behind it.

Random halves of a cell's blocks are drawn without replacement (Shao & Wu 1989, the delete-d jackknife).
Drawing blocks with replacement, the usual bootstrap, fails here: a draw that repeats blocks has fewer
different members, hence noisier scores and a larger share of them above a threshold, which with four blocks
doubled the standard error of r.
"""

from itertools import combinations, islice
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from memreg.estimators import mixture
from memreg.estimators.counts import Counts, Floats, Tally
from memreg.estimators.statistics import counted_key, fraction_key
from memreg.estimators.threshold import THRESHOLDS, reaches

CHUNK = 20_000_000  # elements of a replicates x examples array that are held at once


def replicates(tally: Tally, n_replicates: int = 100, seed: int = 0) -> dict[str, Floats]:
    """Values from halves of the members, shape [replicates], of `test_accuracy`, `included_accuracy`, `gap`
    (included minus excluded accuracy), `mean_score`, and each memorized and counted fraction.

    Whole blocks are drawn, since members of a balanced block depend on each other's masks: all choices of
    half of them where those are no more than n_replicates, else as many random ones.
    """
    weights = _choices(len(tally.block), len(tally.block) // 2, n_replicates, seed)
    counts = tally.counts.each(lambda a: a.astype(np.float32))
    pieces = max(1, len(weights) * counts.included.shape[1] // CHUNK)
    parts = [_replicate(tally, counts, part) for part in np.array_split(weights, pieces)]
    values = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    fractions = np.stack([_fractions(_drawn(tally, chosen)) for chosen in weights])
    return values | dict(zip(map(fraction_key, THRESHOLDS), fractions.T, strict=True))


def standard_error(values: Floats, blocks: int) -> float:
    """Standard error of the estimate from all `blocks`, from its `replicates`; NaN for fewer than two."""
    return float(np.sqrt(covariance(values[None], blocks)[0, 0]))


def covariance(values: Floats, blocks: int) -> Floats:
    """Covariance of the noise that members leave in several estimates of one cell; values: [estimates,
    replicates], result [estimates, estimates], NaN for fewer than two blocks.

    A mean of k of b blocks varies over the choices by S²/k (1 - k/b), one of all b by S²/b.
    """
    if blocks < 2:
        return np.full((len(values), len(values)), np.nan)
    half = blocks // 2
    return np.atleast_2d(np.cov(values, ddof=0)) * half / (blocks - half)


def quantile(degrees: float) -> float:
    """Half a 95 % interval in standard errors: Student's t, since blocks may be few."""
    return float(t.ppf(0.975, degrees)) if degrees > 0 else float("nan")


def interval(estimate: float, values: Floats, blocks: int) -> tuple[float, float]:
    """95 % interval: the standard error around the estimate from all members.

    Not percentiles: half the members' scores are noisier, which moves a share above a threshold, but
    hardly its standard error.
    """
    half = quantile(blocks - 1) * standard_error(values, blocks)
    return estimate - half, estimate + half


def without_each_block(tally: Tally) -> dict[str, Floats]:
    """`test_accuracy` and `included_accuracy` from all blocks but one each, [b]."""
    counts = tally.counts
    right, of = counts.included_correct.sum(1), counts.included.sum(1)
    members = tally.members.sum() - tally.members
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "test_accuracy": (tally.test_correct.sum() - tally.test_correct) / members,
            "included_accuracy": (right.sum() - right) / (of.sum() - of),
        }


def jackknife_covariance(values: Floats) -> Floats:
    """Covariance of the noise that members leave in several estimates (Efron & Stein 1981).

    values: [estimates, b], from all blocks but one each; NaN for fewer than two."""
    blocks = values.shape[1]
    if blocks < 2:
        return np.full((len(values), len(values)), np.nan)
    covariance: Floats = np.atleast_2d(np.cov(values, ddof=0)) * (blocks - 1)
    return covariance


def jackknife_interval(estimate: float, values: Floats) -> tuple[float, float]:
    """95 % interval of an estimate; values: of all blocks but one each, [b]."""
    half = quantile(len(values) - 1) * float(np.sqrt(jackknife_covariance(values[None])[0, 0]))
    return estimate - half, estimate + half


def _choices(blocks: int, k: int, n_replicates: int, seed: int) -> NDArray[np.int64]:
    """0/1 weights [replicates, blocks], k ones in each row."""
    weights = np.zeros((min(comb(blocks, k), n_replicates), blocks), np.int64)
    if len(weights) < n_replicates:
        chosen = np.array(list(islice(combinations(range(blocks), k), len(weights))), np.int64)
    else:
        chosen = np.random.default_rng(seed).random((len(weights), blocks)).argsort(1)[:, :k]
    np.put_along_axis(weights, chosen, 1, axis=1)
    return weights


def _replicate(tally: Tally, counts: Counts, weights: NDArray[np.int64]) -> dict[str, Floats]:
    drawn = counts.each(lambda a: weights.astype(np.float32) @ a)
    score = drawn.score
    known = ~np.isnan(score)
    with np.errstate(invalid="ignore", divide="ignore"):
        included = drawn.included_correct.sum(1) / drawn.included.sum(1)
        excluded = drawn.excluded_correct.sum(1) / drawn.excluded.sum(1)
        n = known.sum(1)
        return {
            "test_accuracy": weights @ tally.test_correct / (weights @ tally.members),
            "included_accuracy": included.astype(float),
            "gap": (included - excluded).astype(float),
            "mean_score": np.where(known, score, 0).sum(1) / n,
            **{counted_key(t): reaches(score, t).sum(1) / n for t in THRESHOLDS},
        }


def _drawn(tally: Tally, chosen: NDArray[np.int64]) -> Counts:
    """Over the chosen blocks, shapes [n]; chosen: 0 or 1 for each block."""
    return tally.counts.each(lambda a: chosen @ a)


def _fractions(counts: Counts) -> Floats:
    """Memorized fractions at THRESHOLDS, NaN where no example has a score; counts: shapes [n]."""
    if np.isnan(counts.score).all():
        return np.full(len(THRESHOLDS), np.nan)
    return mixture.shares(mixture.fit(mixture.table(counts)), np.array(THRESHOLDS))
