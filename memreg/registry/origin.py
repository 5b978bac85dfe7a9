"""Which cell a frame of scores is of: its hash, in the frame's `attrs`."""

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from memreg.registry.stored_cell import StoredCell

CELL = "memreg.cell"
ESTIMATOR = "memreg.estimator"


class CellHash(str):
    """A cell's hash, in memory with the cell itself; in a file or another process it is the hash alone."""

    cell: "StoredCell"

    def __new__(cls, cell: "StoredCell") -> "CellHash":
        made = super().__new__(cls, cell.hash)
        made.cell = cell
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "CellHash":
        """Itself: pandas copies the attrs of a frame to what is made of it."""
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def mark(scores: pd.DataFrame, cell: "StoredCell", estimator: str | None) -> None:
    """Note in a frame of scores which cell and which estimator they are of."""
    scores.attrs[CELL] = CellHash(cell)
    if estimator is not None:
        scores.attrs[ESTIMATOR] = estimator
