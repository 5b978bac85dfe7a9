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

from memreg.estimators.counts import Floats, Mask
from memreg.estimators.products import product
from memreg.estimators.scores import difference_interval

ROWS = 256
"""Training examples of a block: with 10,000 test examples its counts stay in the cache."""


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
    """The strongest of those at or above it. Columns: `train`, `test`, `influence`, `standard_error` (of a
    difference of two proportions, as a score's), `low`, `high` (95 %, of each pair by itself: among
    many pairs, some lie outside theirs), `included_count`, `excluded_count`."""
    above: int
    """Pairs at or above the threshold, whether or not in the table."""
    below: int
    """Pairs at or below its negative."""
    train: int
    """Training examples of the pairs above."""
    test: int
    """Test examples of the pairs above."""


def strong_pairs(included: Mask, correct: Mask, threshold: float, limit: int = 1_000_000) -> StrongPairs:
    """Pairs by influence, the table's strongest first and at most `limit`.

    included: [members, n_train]; correct: [members, n_test].
    """
    above = below = 0
    train, test = np.zeros(included.shape[1], bool), np.zeros(correct.shape[1], bool)
    found = np.empty((0, 4), np.int64)  # train, test, included and right, included
    strength = np.empty(0, np.float32)
    for block in influence_blocks(included, correct):
        influence = block.influence()
        below += int((influence <= -threshold).sum())
        i, j = torch.nonzero(influence >= threshold).T
        above += len(i)
        train[block.first + i.numpy()] = test[j.numpy()] = True
        new = torch.stack([i + block.first, j, block.together[i, j], block.included[i].long()], 1)
        found = np.concatenate([found, new.numpy()])
        strength = np.concatenate([strength, influence[i, j].numpy()])
        if len(found) > 2 * limit:
            found, strength = _strongest(found, strength, limit)
    found, _ = _strongest(found, strength, limit)
    table = _table(found, correct.sum(0), len(correct))
    return StrongPairs(table, above, below, int(train.sum()), int(test.sum()))


def histogram(included: Mask, correct: Mask, bins: int = 400) -> tuple[Floats, NDArray[np.int64]]:
    """How many pairs have which influence: edges from -1 to 1, shape [bins + 1], and counts, [bins]."""
    count = torch.zeros(bins, dtype=torch.float64)
    for block in influence_blocks(included, correct):
        count += torch.histc(block.influence(), bins, -1, 1)
    return np.linspace(-1, 1, bins + 1), count.numpy().astype(np.int64)


def _strongest(
    found: NDArray[np.int64], strength: NDArray[np.float32], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.lexsort((found[:, 1], found[:, 0], -strength))[:limit]
    return found[order], strength[order]


def _table(found: NDArray[np.int64], right: NDArray[np.int64], members: int) -> pd.DataFrame:
    train, test, both, n1 = found.T
    n0, right0 = members - n1, right[test] - both
    p1, p0 = both / n1, right0 / n0
    low, high = difference_interval(both, n1, right0, n0) if len(found) else (p1, p0)
    return pd.DataFrame(
        {
            "train": train,
            "test": test,
            "influence": p1 - p0,
            "standard_error": np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0),
            "low": low,
            "high": high,
            "included_count": n1,
            "excluded_count": n0,
        }
    )
