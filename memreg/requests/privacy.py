"""What may be asked of `memreg privacy`."""

from pathlib import Path

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg privacy`."""

    cell: str
    """A cell's hash, the first digits of it, or its run id."""
    queries: bool = False
    """Ask networks by views of each image too, where members have kept them (--observers queries)."""
    dataset: str | None = None
    """The cell's data set once more, where it is code of yours."""
    data_dir: Path | None = None
    """Where data sets are, for the images; by default MEMREG_DATA_DIR, else ./data."""
