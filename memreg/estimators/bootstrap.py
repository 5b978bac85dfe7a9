"""Resampling members: what is averaged over examples still varies with the members behind it."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from memreg.estimators.counts import Counts, Floats, Tally
from memreg.estimators.scores import THRESHOLDS
from memreg.estimators.summary import fraction_key

CHUNK = 20_000_000  # elements of a replicates x examples array that are held at once


def replicates(tally: Tally, n_replicates: int = 1000, seed: int = 0) -> dict[str, Floats]:
    """Bootstrap replicates, shape [n_replicates], of `test_accuracy`, `included_accuracy`, `gap`
    (included minus excluded accuracy), `mean_score` and each memorized fraction.

    Whole blocks of members are resampled with replacement: members of a balanced block depend on each
    other's masks. Cells with as many blocks and the same seed are resampled alike, since their
    members of the same index share their mask, and what is shared must vary together.
    """
    blocks = len(tally.block)
    weights = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=n_replicates)
    counts = tally.counts.each(lambda a: a.astype(np.float32))
    pieces = max(1, n_replicates * counts.included.shape[1] // CHUNK)
    parts = [_replicate(tally, counts, part) for part in np.array_split(weights, pieces)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def standard_error(values: Floats, blocks: int) -> float:
    """Standard error from replicates of a bootstrap of `blocks` blocks; NaN for fewer than two."""
    if blocks < 2:
        return float("nan")
    return float(np.std(values, ddof=1) * np.sqrt(blocks / (blocks - 1)))


def quantile(blocks: int) -> float:
    """Half a 95 % interval in standard errors: Student's t, since blocks may be few."""
    return float(t.ppf(0.975, blocks - 1)) if blocks > 1 else float("nan")


def interval(estimate: float, values: Floats, blocks: int) -> tuple[float, float]:
    """95 % interval: the bootstrap's standard error, centred on the estimate.

    Not its percentiles: resampled scores carry the sampling noise twice, which moves a share above
    a threshold, but hardly its standard error.
    """
    half = quantile(blocks) * standard_error(values, blocks)
    return estimate - half, estimate + half


def _replicate(tally: Tally, counts: Counts, weights: NDArray[np.int64]) -> dict[str, Floats]:
    drawn = counts.each(lambda a: weights.astype(np.float32) @ a)
    score = drawn.included_accuracy - drawn.excluded_accuracy
    known = ~np.isnan(score)
    with np.errstate(invalid="ignore"):
        included = drawn.included_correct.sum(1) / drawn.included.sum(1)
        excluded = drawn.excluded_correct.sum(1) / drawn.excluded.sum(1)
        n = known.sum(1)
        return {
            "test_accuracy": weights @ tally.test_correct / (weights @ tally.members),
            "included_accuracy": included.astype(float),
            "gap": (included - excluded).astype(float),
            "mean_score": np.where(known, score, 0).sum(1) / n,
            **{fraction_key(t): (score >= t - 1e-6).sum(1) / n for t in THRESHOLDS},
        }
