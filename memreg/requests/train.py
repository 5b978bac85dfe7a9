"""What may be asked of `memreg train`, beside the fields of a cell."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from memreg.errors import MemregError
from memreg.grid import check_name, plan_cell
from memreg.parameters import Parameters
from memreg.requests.names import check_names

MOST_FOLDS = 100
"""Of any design: as many candidates as this fit every r."""


class Request(Parameters):
    """What is asked of `memreg train`, beside the fields of the cell."""

    dataset: str | None = None
    """A data set's name, as digits or folder:PATH: docs/grids.md."""
    like: str | None = None
    """A stored cell: what is not given of data set, recipe, r and design_seed is taken from it."""
    members: int = Field(40, ge=1)
    """Networks to train."""
    study: str = "train"
    """Name of the study: it holds every cell that was asked for under its name."""

    def check(self, cell: Mapping[str, Any]) -> None:
        """Raise `MemregError` for fields of a cell that are none, or that name what there is not."""
        if self.like is not None:
            fixed = {"dataset": "digits", "model": "vgg3-w8"}  # checked once the cell has been found
        elif self.dataset is None or "model" not in cell:
            raise MemregError("give dataset and model, as digits and vgg3-w8; or like=CELL")
        else:
            fixed = {"dataset": self.dataset}
        if cell.get("design") == "candidates" and "candidates" not in cell:
            raise MemregError(
                "design=candidates: say who they are, as candidates=top:500 and neighbours=CELL"
            )
        stored = ("neighbours", "candidates", "audit")  # may be what a stored cell says
        known = fixed | {key: value for key, value in cell.items() if key not in stored}
        if "candidates" in cell:
            known["candidates"] = tuple(range(MOST_FOLDS))
        check_names([plan_cell({"members": self.members, **known}, "train")])
        check_name(self.study, "study")
