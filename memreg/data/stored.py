"""The data set that a stored cell was trained on."""

from pathlib import Path

from memreg.cell import Cell
from memreg.data.dataset import Dataset
from memreg.data.loading import load_stored
from memreg.errors import MemregError


def images_of(cell: Cell, data_dir: Path | None, named: str | None = None) -> Dataset:
    """The cell's data set, for its images; `MemregError` where it is not there, or has changed.

    named: the data set once more, where it is code of the user's.
    """
    dataset = load_stored(cell.dataset, data_dir, named)
    if dataset.fingerprint != cell.dataset_fingerprint:
        raise MemregError(f"data set {cell.dataset} is no longer what cell {cell.hash[:12]} was trained on")
    return dataset
