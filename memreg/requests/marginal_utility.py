"""What may be asked of `memreg marginal_utility`."""

from pydantic import Field

from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg marginal_utility`."""

    cell: str
    """A stored cell of design subsets, whose scores, data set and recipe are used."""
    estimator: str = "peers"
    """Scores that verify the chosen examples, for the arm verified: an estimator of memreg memorization, or
    CELL[:ESTIMATOR]."""
    thresholds: str = "0.15,0.25,0.45,0.65,0.85"
    """Scores from which examples are left out, with commas between them; or auto."""
    members: int = Field(100, ge=1)
    """Networks to train for each arm."""
    neighbours: str | None = None
    """Who makes a sub-population: groups (those planted), a cell, or FILE.json; by default the cell."""
    margin: float = Field(0.5, gt=0, le=100)
    """Largest difference that counts as none, in points of accuracy."""
    design_seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the removals and of the members."""
    dataset: str | None = None
    """The cell's data set once more, where it is code of yours."""
    code: str | None = None
    """What of the cell's recipe is code of yours, once more, with commas between."""
    study: str = "marginal_utility"
    """Name of the study."""
