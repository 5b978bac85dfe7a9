"""What may be asked of `memreg plan`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from memreg.grid import load_grid
from memreg.parameters import Parameters
from memreg.requests.names import check_names


class Request(Parameters):
    """What is asked of `memreg plan`, beside the resources."""

    grid: str = "digits"
    """A shipped grid's name, or the path of a grid file."""
    members: int | None = Field(None, ge=1)
    """Networks to train for every cell; by default as many as the grid says."""
    throughput: float | None = Field(None, gt=0)
    """Another machine's speed, as a multiple of this one's: adds its time."""
    data_dir: Path | None = None
    """Where data sets are; by default MEMREG_DATA_DIR, else ./data."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_names(load_grid(self.grid, self.members).cells)
        return self
