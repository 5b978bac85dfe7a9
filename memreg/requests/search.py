"""What may be asked of `memreg search`."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from memreg.data import loading
from memreg.errors import MemregError
from memreg.grid import check_name
from memreg.parameters import Parameters
from memreg.search.targets import Targets

TARGETS, TOLERANCE = 19, 0.01


class Request(Parameters):
    """What is asked of `memreg search`."""

    dataset: str
    """The data set of all cells, by its name: docs/grids.md."""
    mode: Literal["fill", "optimize"] = "fill"
    """fill targets of test accuracy, or optimize it."""
    targets: int | None = Field(None, ge=1)
    """Number of targets, spaced evenly from low to high; 19 by default."""
    low: float | None = Field(None, gt=0, le=1)
    """The lowest target, a test accuracy."""
    high: float | None = Field(None, gt=0, le=1)
    """The highest target."""
    tolerance: float | None = Field(None, gt=0, le=1)
    """How far a cell may be from its target; 0.01 by default."""
    members: int = Field(40, ge=1)
    """Networks to train for a cell that is not stopped early."""
    trials: int = Field(100, ge=1)
    """Largest number of trials."""
    space: str | None = None
    """A shipped space's name, or the path of a file; by default the shipped one for images of this size."""
    noise: float = Field(0.0, ge=0, le=1)
    """Share of the training labels that may be wrong."""
    budget: int | None = Field(None, ge=1)
    """Largest number of parameters that a model may have."""
    storage: str | None = None
    """URL of Optuna's storage; by default beside the tracking database."""
    study: str | None = None
    """Name of the study; by default search-DATASET."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        loading.check(self.dataset)
        check_name(self.study_name, "study")
        self.accuracies()
        return self

    @property
    def study_name(self) -> str:
        """The study's name, given or not."""
        return self.study or f"search-{re.sub('[^A-Za-z0-9._-]+', '-', self.dataset)}"

    def accuracies(self) -> Targets | None:
        """What is to be filled; None in a search for the best. Raises `MemregError` for what does not fit."""
        given = {
            key: value
            for key in ("targets", "low", "high", "tolerance")
            if (value := getattr(self, key)) is not None
        }
        if self.mode == "optimize":
            if given:
                raise MemregError(
                    f"{next(iter(given))} is for mode=fill: mode=optimize looks for the best test accuracy"
                )
            return None
        if self.low is None or self.high is None:
            raise MemregError("which test accuracies? Give low and high, as low=0.8 high=0.97")
        return Targets.spaced(self.targets or TARGETS, self.low, self.high, self.tolerance or TOLERANCE)
