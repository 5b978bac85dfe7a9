"""What may be asked of every command that trains."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from memreg.errors import MemregError
from memreg.parameters import Parameters
from memreg.tracing import CHECKPOINTS, Tracing

ENGINES = ("local", "ray")


class Training(Parameters):
    """How a command trains, beside its resources."""

    engine: str = "local"
    """Where members run: local or ray."""
    wait: float = Field(0.0, ge=0)
    """Seconds to wait for cells that others are at work on; 0 stops instead."""
    data_dir: Path | None = None
    """Where data sets are; by default MEMREG_DATA_DIR, else ./data."""

    trace: int = Field(0, ge=0)
    """First members of each cell that keep what training shows of each training example."""
    checkpoints: int = Field(CHECKPOINTS, ge=1, le=1000)
    """Times in training at which they keep it."""
    observers: str = ""
    """What else looks at their networks: curvature, gradient_norm, features, last_layer, queries, or
    package.module:function, with commas between."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.engine not in ENGINES:
            raise MemregError(f"unknown engine '{self.engine}': one of {', '.join(ENGINES)}")
        return self

    @property
    def tracing(self) -> Tracing | None:
        """Raises `MemregError` for an observer that is none, and for observers of no member."""
        if self.observers and not self.trace:
            raise MemregError("observers are of members that keep a trace: say how many, as trace=20")
        return Tracing.by(self.trace, self.checkpoints, self.observers) if self.trace else None
