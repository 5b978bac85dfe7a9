"""A cell's members as what they saw and what they got right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Mask
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED


@dataclass(frozen=True, eq=False)
class Outcomes:
    """k members that did not diverge."""

    included: Mask
    """Shape [k, n_train]."""
    correct_train: Mask
    """Shape [k, n_train]."""
    correct_test: Mask
    """Shape [k, n_test]."""
    block: NDArray[np.int64]
    """Shape [k]."""


def outcomes(cell: StoredCell) -> Outcomes:
    """All of a cell's members at once: 1 byte for each and training example, 1 for each and example."""
    members = cell.members(*COUNTED).kept()
    correct, n = members.correct(cell.labels), members.n_train
    block = np.array([cell.cell.design.block(int(m)) for m in members.member], np.int64)
    return Outcomes(members.included, correct[:, :n], correct[:, n:], block)


def some_without_each(cell: StoredCell, found: Outcomes, what: str) -> None:
    """Raise `MemregError` where all members include the same example; what: the use that needs the others."""
    if found.included.all(0).any():
        raise MemregError(
            f"{cell} never leaves out some of its examples: {what} takes a cell of design subsets"
        )
