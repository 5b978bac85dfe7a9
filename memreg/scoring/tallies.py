"""A cell's stored members, summed."""

from collections.abc import Callable, Collection
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Tally, tally
from memreg.prediction import diverged
from memreg.registry.shards import Shards

COLUMNS = ("member", "included", "predicted")
"""What a tally takes of a shard."""


def tally_shards(
    shards: Shards,
    labels: NDArray[np.int64],
    block: Callable[[int], int] = lambda member: 0,
    members: Collection[int] | None = None,
) -> Tally:
    """Shard by shard, so that memory holds one shard and the sums. labels: [N], training first.

    block: the block of a member, as `design.block` for a bootstrap; all in one by default.
    members: those that count; all by default. Members that diverged are left out.
    """
    counted = None if members is None else np.fromiter(members, np.int64)
    narrow: dict[Any, NDArray[Any]] = {}

    def one(shard: dict[str, NDArray[Any]]) -> Tally:
        kept = ~diverged(shard["predicted"])
        if counted is not None:
            kept &= np.isin(shard["member"], counted)
        rows = slice(None) if kept.all() else kept
        predicted = shard["predicted"][rows]
        correct = predicted == narrow.setdefault(predicted.dtype, labels.astype(predicted.dtype))
        blocks = np.array([block(int(m)) for m in shard["member"][rows]], np.int64)
        return tally(shard["included"][rows], correct, blocks)

    return reduce(add, map(one, shards))
