"""What may be asked of `memreg approximation_error`."""

from pathlib import Path

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg approximation_error`."""

    subset_cell: str
    """CELL[:ESTIMATOR], and more after commas; estimators whose scores the cell has."""
    loo_cell: str
    """The leave-out cell of memreg leave_one_out."""
    dataset: str | None = None
    """The cells' data set once more, where it is code of yours."""
    data_dir: Path | None = None
    """Where data sets are; by default MEMREG_DATA_DIR, else ./data."""
