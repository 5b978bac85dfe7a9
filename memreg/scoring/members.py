"""A cell's stored members as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Mask
from memreg.prediction import diverged
from memreg.registry import Registry
from memreg.registry.reader import labels


@dataclass(frozen=True, eq=False)
class Members:
    """Members that did not diverge, k of them."""

    included: Mask
    """Shape [k, n_train]."""
    correct: Mask
    """Shape [k, n_train + n_test], training first."""
    block: NDArray[np.int64]
    """Shape [k]."""
    labels: NDArray[np.int64]
    """Of the training examples, shape [n_train]."""

    @property
    def correct_train(self) -> Mask:
        return self.correct[:, : len(self.labels)]

    @property
    def correct_test(self) -> Mask:
        return self.correct[:, len(self.labels) :]


def read_members(registry: Registry, cell: str) -> Members:
    """All of a cell's members at once: 1 byte for each and training example, 1 for each and example."""
    run_id = registry.cell_run(cell).info.run_id
    design, everything = registry.cell(run_id).design, labels(registry.examples(run_id))
    included, correct, block = [], [], []
    for shard in registry.shards(run_id, ("member", "included", "predicted")):
        kept = ~diverged(shard["predicted"])
        included.append(shard["included"][kept])
        correct.append(np.equal(shard["predicted"][kept], everything))
        block += [design.block(int(m)) for m in shard["member"][kept]]
    inside = np.concatenate(included)
    return Members(inside, np.concatenate(correct), np.array(block, np.int64), everything[: inside.shape[1]])
