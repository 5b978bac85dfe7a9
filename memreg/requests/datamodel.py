"""What may be asked of `memreg datamodel`."""

from pathlib import Path

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg datamodel`."""

    cell: str
    """A cell's hash, the first digits of it, or its run id."""
    targets: str = "test:50"
    """Examples whose margins are explained: test:K random test examples, or training examples as top:K by
    score, random:K, stratified:K, or a file of indices."""
    dataset: str | None = None
    """The cell's data set once more, where it is code of yours."""
    data_dir: Path | None = None
    """Where data sets are, for the images; by default MEMREG_DATA_DIR, else ./data."""
