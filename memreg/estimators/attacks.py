"""Membership inference: was a network trained on an example? An attack gives each member and example a
number, the larger the likelier the answer is yes.

The attacker knows how sure the network is of the label (its margin), and how sure other networks are
(`reference`), of which it knows whether they were trained on the example. Its numbers do not depend on
how many networks were: a likelihood ratio is to be multiplied by the prior odds, r / (1 - r) for a random
example.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Floats, Mask
from memreg.estimators.reference import Side

Margins = NDArray[np.floating[Any]]
GAMMA = 2.0
"""RMIA's: how many times more likely than a population's image an image must have become."""
POPULATION = 2500
"""Images that RMIA compares with, at most."""


def online(margin: Margins, including: Side, excluding: Side) -> Margins:
    """LiRA's log likelihood ratio: the margin's under two normal distributions, of the networks with the
    example and of those without it (Carlini et al. 2022, algorithm 1; the medians are their code's, and so
    are standard deviations over the count).

    margin: [q, n, b]; so is the result.
    """
    return _log_density(margin, including) - _log_density(margin, excluding)


def offline(margin: Margins, excluding: Side) -> Margins:
    """LiRA without networks that were trained on the example: by how many standard deviations the margin is
    above that of networks without it.

    The probability of a smaller margin, which Carlini et al. (2022, section V) take, is in the same order.
    """
    median, spread = _as(margin, excluding)
    return (margin - median) / spread


def population(margin: NDArray[np.float16], block: NDArray[np.int64]) -> Floats:
    """Of images that no member was trained on, how much likelier each member finds each than other blocks'
    members do: log ratios, ascending, [k, z], for `rmia`.

    margin: of test images, [k, n_test]; block: of each member, [k]. At most POPULATION of the images are
    taken, evenly.
    """
    chosen = np.unique(np.linspace(0, margin.shape[1] - 1, POPULATION).astype(int))
    margin = np.ascontiguousarray(margin[:, chosen])
    log_p = log_probability(margin)
    log_p -= log_p.max(0)  # of each image; that cancels in the ratio, and no mean is 0
    p = np.exp(log_p)
    _, number, count = np.unique(block, return_inverse=True, return_counts=True)
    own = np.zeros((len(count), p.shape[1]))
    np.add.at(own, number, p)
    others = (own.sum(0) - own) / (len(block) - count[:, None])
    return np.sort(log_p - _log(others)[number], axis=1)


def rmia(log_ratio: NDArray[np.float32], others: Floats) -> Floats:
    """RMIA of one member: the share of the population against which an image has become GAMMA times more
    likely (Zarifzadeh et al. 2024, equation 3), as -log(1 - share), which keeps shares near 1 apart.

    log_ratio: of images, [n]; see `against_mean`. others: the member's row of `population`, [z].
    """
    below = np.searchsorted(others.astype(np.float32), log_ratio - np.float32(np.log(GAMMA)), side="right")
    return -np.log1p(-below / (len(others) + 1))


def against_mean(margin: NDArray[np.float16], on: Mask, off: Mask) -> Floats:
    """log p(label | member) less the log of its mean over the other blocks' members, of which those with the
    image and those without weigh the same, however many there are. All [q, n, b], and so is the result."""
    log_p = log_probability(margin)
    log_p -= np.where(on | off, log_p, -np.inf).max((0, 2), keepdims=True)
    p = np.exp(np.minimum(log_p, 0))
    mean = (_mean_of_others(p, on) + _mean_of_others(p, off)) / 2
    ratio: Floats = log_p - _log(mean)
    return ratio


def log_probability(margin: NDArray[np.float16]) -> Floats:
    """log(1 / (1 + exp(-margin))), by a table of all 65,536 margins."""
    found: Floats = _LOG_PROBABILITY[np.ascontiguousarray(margin).view(np.uint16)]
    return found


with np.errstate(invalid="ignore"):
    _LOG_PROBABILITY = -np.logaddexp(0, -np.arange(2**16, dtype=np.uint16).view(np.float16).astype(float))


def _mean_of_others(p: Floats, on: Mask) -> Floats:
    """[n, b]; NaN of none."""
    total, count = np.einsum("qnb,qnb->nb", p, on), on.sum(0)
    left = count.sum(1, keepdims=True) - count
    mean: Floats = (total.sum(1, keepdims=True) - total) / np.where(left > 0, left, np.nan)
    return mean


def _log(p: Floats) -> Floats:
    return np.log(np.maximum(p, 1e-30))


def _log_density(margin: Margins, own: Side) -> Margins:
    """Up to a constant."""
    median, spread = _as(margin, own)
    return -(((margin - median) / spread) ** 2) / 2 - np.log(spread)


def _as(margin: Margins, own: Side) -> tuple[Margins, Margins]:
    """Median and spread in the margins' precision."""
    return own.median.astype(margin.dtype), own.spread.astype(margin.dtype)
