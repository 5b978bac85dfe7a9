"""Influence of training on test examples (Feldman & Zhang 2020; section 2.2), in blocks.

infl(i, j) = Pr[h(x'_j) = y'_j | i included] - Pr[h(x'_j) = y'_j | i excluded]

One product of 0/1 matrices counts the members that included i and got j right; the margins give the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import norm

from memreg.estimators.counts import Floats, Mask
from memreg.estimators.hypergeometric import tail
from memreg.estimators.products import product
from memreg.estimators.scores import difference_interval
from memreg.estimators.threshold import FORGIVEN

ROWS = 256
"""Training examples of a block: with 10,000 test examples its counts stay in the cache."""
SUBSTANTIAL = 0.15
"""Feldman & Zhang's threshold for a substantial influence."""
RATE = 0.05
"""Of the pairs that are told from chance, the share that may be false."""


@dataclass(frozen=True, eq=False)
class Block:
    """Counts for training examples first, first + 1, ... and all test examples."""

    first: int
    members: int
    together: torch.Tensor
    """Members that included i and got j right, int32 [rows, n_test]."""
    included: torch.Tensor
    """Members that included i, float32 [rows]."""
    correct: torch.Tensor
    """Members that got j right, float32 [n_test]."""

    def influence(self) -> torch.Tensor:
        """float32 [rows, n_test]; NaN for an example that was never included or never excluded."""
        excluded = self.members - self.included
        slope = 1 / self.included + 1 / excluded
        return self.together * slope[:, None] - self.correct / excluded[:, None]


def influence_blocks(included: Mask, correct: Mask) -> Iterator[Block]:
    """Blocks of all pairs, so that n_train x n_test never has to fit in memory.

    included: [members, n_train]; correct: [members, n_test]. All counts are exact.
    """
    members, n_train = included.shape
    right = torch.from_numpy(np.ascontiguousarray(correct)).view(torch.int8)
    right_count = torch.from_numpy(correct.sum(0, dtype=np.float32))
    for first in range(0, n_train, ROWS):
        rows = np.ascontiguousarray(included[:, first : first + ROWS].T)
        inside = torch.from_numpy(rows.sum(1, dtype=np.float32))
        together = product(torch.from_numpy(rows).view(torch.int8), right)
        yield Block(first, members, together, inside, right_count)


@dataclass(frozen=True, eq=False)
class StrongPairs:
    """Pairs whose influence is at or beyond a threshold."""

    table: pd.DataFrame
    """Those at or above it that chance does not explain, the strongest first. Columns: `train`, `test`,
    `influence`, `standard_error` (of a difference of two proportions, as a score's), `low`, `high` (95 %, of
    each pair by itself: chosen for their strength, more than 5 % lie outside theirs), `p` (Fisher's exact
    one-sided test), `included_count`, `excluded_count`."""
    chosen: int
    """Pairs that chance does not explain, whether or not in the table."""
    above: int
    """Pairs at or above the threshold."""
    by_chance: float
    """Of those, how many there would be on average if no training example acted on any test example."""
    below: int
    """Pairs at or below its negative."""


def strong_pairs(included: Mask, correct: Mask, threshold: float, limit: int = 1_000_000) -> StrongPairs:
    """Pairs by influence, and which of them chance does not explain.

    Chance is that members are shuffled: the number that included i and got j right is then hypergeometric,
    given how many included i and how many got j right. Benjamini & Hochberg's procedure chooses from all
    pairs, a pair below the threshold with a p-value of 1, so that on average at most a share `RATE` of
    the chosen ones is false. The table has the `limit` least p-values if more are chosen.

    included: [members, n_train]; correct: [members, n_test].
    """
    above = below = 0
    found, p = np.empty((0, 4), np.int64), np.empty(0)  # train, test, included and right, included
    values, counts = [np.empty(0)], [np.empty(0, np.int64)]
    right = correct.sum(0)
    for block in influence_blocks(included, correct):
        influence = block.influence()
        least = threshold - FORGIVEN * torch.finfo(influence.dtype).eps  # as `scores.reaches`
        below += int((influence <= -least).sum())
        i, j = torch.nonzero(influence >= least).T
        above += len(i)
        new = torch.stack([i + block.first, j, block.together[i, j], block.included[i].long()], 1).numpy()
        own = tail(new[:, 2], len(correct), new[:, 3], right[new[:, 1]])
        likely = own > RATE
        new, own = new[~likely], own[~likely]
        value, count = np.unique(own, return_counts=True)
        values.append(value)
        counts.append(count)
        found, p = np.concatenate([found, new]), np.concatenate([p, own])
        if len(found) > 2 * limit:
            found, p = _least(found, p, limit)
    chosen, cut = _benjamini_hochberg(
        np.concatenate(values), np.concatenate(counts), included.shape[1] * correct.shape[1]
    )
    found, p = _least(found[p <= cut], p[p <= cut], limit)
    by_chance = expected_by_chance(included.sum(0), right, len(correct), threshold)
    return StrongPairs(_table(found, p, right, len(correct)), chosen, above, by_chance, below)


def expected_by_chance(
    included: NDArray[np.int64], right: NDArray[np.int64], members: int, threshold: float
) -> float:
    """Pairs with an influence at or above the threshold, on average over all ways to shuffle the members.

    included: [n_train]; right: [n_test], members that got each right. Pairs with equal counts share the
    probability.
    """
    (n1, of1), (c, of0) = (np.unique(x, return_counts=True) for x in (included, right))
    usual = (n1 > 0) & (n1 < members)
    n1, of1 = n1[usual, None], of1[usual]
    inside, outside = n1.astype(np.float32), (members - n1).astype(np.float32)
    slope, base = 1 / inside + 1 / outside, c.astype(np.float32) / outside
    least = np.ceil((threshold + base) / slope - 1e-3)
    least += least.astype(np.float32) * slope - base < np.float32(threshold)
    return float(of1 @ tail(least, members, n1, c) @ of0)


def members_needed(n_train: int, n_test: int, share: float) -> int:
    """The fewest members with which a single pair could be told from chance: one where exactly those that
    included i get j right, whose p-value, 1 / binomial(members, share members), is the least possible."""
    members = np.arange(2, 10_000)
    inside = np.rint(share * members)
    logs = gammaln(members + 1) - gammaln(inside + 1) - gammaln(members - inside + 1)
    return int(members[np.argmax(logs >= np.log(max(n_train * n_test, 1) / RATE))])


def members_for(influence: float, n_train: int, n_test: int, share: float) -> int:
    """Members with which a pair of such influence, alone, has about even odds to be told from chance, if its
    test example is got right by half of the members (where it takes the most)."""
    deviations = norm.isf(RATE / max(n_train * n_test, 1))
    return int(np.ceil(deviations**2 / (4 * share * (1 - share) * influence**2)))


def _benjamini_hochberg(p: Floats, count: NDArray[np.int64], tests: int) -> tuple[int, float]:
    """How many of the tests are rejected, and the largest p-value of those; all others are above `RATE`."""
    value, index = np.unique(p, return_inverse=True)
    rank = np.cumsum(np.bincount(index, count, len(value)))
    passed = np.flatnonzero(value <= RATE * rank / tests)
    return (int(rank[passed[-1]]), float(value[passed[-1]])) if len(passed) else (0, -1.0)


def histogram(included: Mask, correct: Mask, bins: int = 400) -> tuple[Floats, NDArray[np.int64]]:
    """How many pairs have which influence: edges from -1 to 1, shape [bins + 1], and counts, [bins]."""
    count = torch.zeros(bins, dtype=torch.float64)
    for block in influence_blocks(included, correct):
        count += torch.histc(block.influence(), bins, -1, 1)
    return np.linspace(-1, 1, bins + 1), count.numpy().astype(np.int64)


def _least(found: NDArray[np.int64], p: Floats, limit: int) -> tuple[NDArray[np.int64], Floats]:
    order = np.argsort(p, kind="stable")[:limit]
    return found[order], p[order]


def _table(found: NDArray[np.int64], p: Floats, right: NDArray[np.int64], members: int) -> pd.DataFrame:
    train, test, both, n1 = found.T
    n0, right0 = members - n1, right[test] - both
    p1, p0 = both / n1, right0 / n0
    low, high = difference_interval(both, n1, right0, n0) if len(found) else (p1, p0)
    table = pd.DataFrame(
        {
            "train": train,
            "test": test,
            "influence": p1 - p0,
            "standard_error": np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0),
            "low": low,
            "high": high,
            "p": p,
            "included_count": n1,
            "excluded_count": n0,
        }
    )
    return table.sort_values(["influence", "train", "test"], ascending=[False, True, True], ignore_index=True)
