"""Resampling members: what is averaged over examples still varies with the members behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.scores import THRESHOLDS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Replicates:
    """Bootstrap replicates of one cell's aggregates, B of them."""

    mean_score: Floats
    """Shape [B]."""
    memorized_fraction: Floats
    """Shape [B, thresholds]."""
    test_accuracy: Floats
    """Shape [B]."""
    gap: Floats
    """Included minus excluded accuracy, shape [B]."""

    def statistic(self, name: str) -> Floats:
        """Replicates of `mean_score`, `gap`, `test_accuracy` or `memorized_fraction/<threshold>`, shape [B]."""
        if name.startswith("memorized_fraction/"):
            return self.memorized_fraction[:, THRESHOLDS.index(float(name.split("/")[1]))]
        values: Floats = getattr(self, name)
        return values


def replicates(
    included: NDArray[np.bool_],
    correct: NDArray[np.bool_],
    test_accuracy: Floats,
    block: NDArray[np.int64],
    n_replicates: int = 1000,
    seed: int = 0,
) -> Replicates:
    """Resample whole blocks of members with replacement.

    included, correct: [members, n_train]; test_accuracy, block: [members]. Members of a balanced block
    depend on each other's masks, so the block is the unit. Cells with the same blocks and seed are resampled
    alike: members of the same index share their mask, and what they share must vary together.
    """
    blocks, inverse = np.unique(block, return_inverse=True)
    weights = np.random.default_rng(seed).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), size=n_replicates
    )
    onehot = (inverse == np.arange(len(blocks))[:, None]).astype(np.float32)
    sizes = onehot.sum(1)
    inc, cor = included.astype(np.float32), correct.astype(np.float32)
    sums = [onehot @ x for x in (inc, inc * cor, 1 - inc, (1 - inc) * cor)]
    test_sums = onehot @ test_accuracy

    mean, fraction, test, gap = [], [], [], []
    for chunk in np.array_split(weights, max(1, n_replicates * included.shape[1] // 20_000_000)):
        w = chunk.astype(np.float32)
        n1, c1, n0, c0 = (w @ x for x in sums)
        with np.errstate(invalid="ignore"):
            score = c1 / n1 - c0 / n0
        known = ~np.isnan(score)
        mean.append(_mean(np.where(known, score, 0).sum(1), known.sum(1)))
        passing = [((score >= t - 1e-6) & known).sum(1) for t in THRESHOLDS]
        fraction.append(_mean(np.stack(passing, 1), known.sum(1)[:, None]))
        test.append(chunk @ test_sums / (chunk @ sizes))
        gap.append(_mean(c1.sum(1), n1.sum(1)) - _mean(c0.sum(1), n0.sum(1)))
    return Replicates(*(np.concatenate(x).astype(float) for x in (mean, fraction, test, gap)))


def interval(estimate: float, values: Floats) -> tuple[float, float]:
    """95 % interval from the bootstrap's standard error, centred on the estimate.

    Not the percentiles: resampled scores carry the sampling noise twice, which shifts a share above
    a threshold, but hardly its standard error.
    """
    half = 1.959964 * float(np.std(values, ddof=1))
    return estimate - half, estimate + half


def _mean(total: NDArray[np.floating], n: NDArray[np.floating]) -> NDArray[np.floating]:
    with np.errstate(invalid="ignore"):
        ratio: NDArray[np.floating] = total / n
    return ratio
