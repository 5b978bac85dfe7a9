"""A cell's stored members, summed."""

from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.design import Design
from memreg.estimators.counts import Tally, tally
from memreg.prediction import diverged
from memreg.registry.shards import Shards


def tally_shards(shards: Shards, labels: NDArray[np.int64], design: Design) -> Tally:
    """Shard by shard, so that memory holds one shard and the sums. labels: [N], training first.

    Members that diverged are left out.
    """

    def one(shard: dict[str, NDArray[Any]]) -> Tally:
        kept = ~diverged(shard["predicted"])
        correct = np.equal(shard["predicted"][kept], labels)
        block = np.array([design.block(int(m)) for m in shard["member"][kept]], np.int64)
        return tally(shard["included"][kept], correct, block)

    return reduce(add, map(one, shards))
