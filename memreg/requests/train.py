"""What may be asked of `memreg train`, beside the fields of a cell."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from memreg.grid import check_name, plan_cell
from memreg.parameters import Parameters
from memreg.requests.names import check_names


class Request(Parameters):
    """What is asked of `memreg train`, beside the fields of the cell."""

    dataset: str
    """A data set's name, as digits or folder:PATH: docs/grids.md."""
    members: int = Field(40, ge=1)
    """Networks to train."""
    study: str = "train"
    """Name of the study: it holds every cell that was asked for under its name."""

    def check(self, cell: Mapping[str, Any]) -> None:
        """Raise `MemregError` for fields of a cell that are none, or that name what there is not."""
        known = {key: value for key, value in cell.items() if key != "neighbours"}  # may be a stored cell's
        check_names([plan_cell({"dataset": self.dataset, "members": self.members, **known}, "train")])
        check_name(self.study, "study")
