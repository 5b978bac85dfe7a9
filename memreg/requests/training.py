"""What may be asked of every command that trains."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from memreg.errors import MemregError
from memreg.parameters import Parameters

ENGINES = ("local", "ray")


class Training(Parameters):
    """How a command trains, beside its resources."""

    engine: str = "local"
    """Where members run: local or ray."""
    wait: float = Field(0.0, ge=0)
    """Seconds to wait for cells that others are at work on; 0 stops instead."""
    data_dir: Path | None = None
    """Where data sets are; by default MEMREG_DATA_DIR, else ./data."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.engine not in ENGINES:
            raise MemregError(f"unknown engine '{self.engine}': one of {', '.join(ENGINES)}")
        return self
