"""Where and with what members are trained. Nothing here is part of what a cell is."""

import os
import re
from typing import Self

from pydantic import Field, model_validator

from memreg.errors import MemregError
from memreg.parameters import Parameters

LOADERS = ("memory", "ffcv")


class Resources(Parameters):
    """What training may use of a machine."""

    workers: int = Field(0, ge=0)
    """Number of training processes; 0 for as many as cores divided by threads, and for one on each GPU."""
    threads: int = Field(1, ge=1)
    """Torch threads of each training process."""
    device: str = "auto"
    """auto, cpu, cuda (every GPU of this machine, in turn) or cuda:N."""
    loader: str = "memory"
    """What reads training images: memory or ffcv. Both give the same networks, on a GPU but for rounding."""
    gpus: float = Field(0.0, ge=0)
    """Share of a GPU that a member is given by Ray; 0.25 puts four on each."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise MemregError(f"unknown device '{self.device}': one of auto, cpu, cuda, cuda:N")
        if self.loader not in LOADERS:
            raise MemregError(f"unknown loader '{self.loader}': one of {', '.join(LOADERS)}")
        return self

    @property
    def processes(self) -> int:
        """Of a device that is known by its name: `auto`, and `cuda` with its number of cards, are first
        `resolved` by the engine."""
        if self.device.startswith("cuda"):
            return self.workers or 1
        return self.workers or max(1, cores() // self.threads)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
