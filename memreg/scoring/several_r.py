"""Scores carried to n-1 from members at several r, so many networks in all."""

from collections.abc import Sequence

from memreg.estimators.counts import Floats
from memreg.estimators.extrapolation import extrapolate
from memreg.registry import StoredCell

EXTRAPOLATION = "extrapolation"
RS = (0.5, 0.7, 0.9)
BLOCK = 10
"""Members of which any number is whole blocks at each of RS."""


def shares(networks: int) -> tuple[int, ...] | None:
    """How many of them are members at each of RS; None where they would not be whole blocks."""
    if networks % BLOCK or networks < BLOCK * len(RS):
        return None
    each = networks // len(RS) // BLOCK * BLOCK
    return (*[each] * (len(RS) - 1), networks - each * (len(RS) - 1))


def carried(cells: Sequence[StoredCell]) -> Floats:
    """Scores of the training examples, [n_train]. cells: one for each of RS."""
    return extrapolate(RS, [cell.tally().total for cell in cells])["score"].to_numpy(float)
