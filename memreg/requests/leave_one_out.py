"""What may be asked of `memreg leave_one_out`."""

from pydantic import Field

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg leave_one_out`."""

    cell: str
    """A stored cell (hash or run id), whose data set and recipe are used; or DATASET/MODEL, with a recipe."""
    targets: str
    """top:K, random:K, stratified:K (by score), or a file of indices."""
    members: int = Field(100, ge=1)
    """Networks to train without each target."""
    everything: int = Field(400, ge=1)
    """Networks to train that leave out no target."""
    group_size: int = Field(1, ge=1)
    """Number of targets that are left out together."""
    neighbours: str | None = None
    """Who the neighbours are that groups keep apart: a cell, or FILE.json; by default the cell."""
    halfwidth: float | None = Field(None, gt=0, le=1)
    """Train until the interval of every target is as narrow as +- this."""
    r: float = Field(1.0, gt=0, le=1)
    """Below 1, all networks train inside one fixed subset of this share of the examples."""
    design_seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the choice of targets, of groups and of the members."""
    dataset: str | None = None
    """A stored cell's data set once more, where it is code of yours."""
    code: str | None = None
    """What of the cell's recipe is code of yours, once more, with commas between."""
    study: str = "leave_one_out"
    """Name of the study."""
