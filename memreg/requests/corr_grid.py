"""What may be asked of `memreg corr_grid`."""

from typing import Self

from pydantic import Field, model_validator

from memreg.grid import check_name, load_grid
from memreg.parameters import Parameters
from memreg.requests.names import check_names


class Request(Parameters):
    """What is asked of `memreg corr_grid`."""

    grid: str = "digits"
    """A shipped grid's name, or the path of a grid file."""
    members: int | None = Field(None, ge=1)
    """Networks to train for every cell; by default as many as the grid says."""
    study: str | None = None
    """Name of the study; by default the grid's."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        grid = load_grid(self.grid, self.members)
        check_name(self.study or grid.name, "study")
        check_names(grid.cells)
        return self
