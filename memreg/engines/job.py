"""The unit of work: one member of one cell."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from memreg.cell import Cell
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.prediction import Prediction


@dataclass(frozen=True)
class Job:
    cell: Cell
    member: int


Engine = Callable[[Iterable[Job], Mapping[str, Dataset], "Resources"], Iterator[tuple[Job, Prediction]]]
"""Runs jobs on data sets by fingerprint; yields each with its prediction, in the order they finish."""


@dataclass(frozen=True)
class Resources:
    """Where and with what members are trained. Nothing here is part of what a cell is."""

    workers: int = 0
    """Processes; 0 for as many as cores divided by `threads`."""
    threads: int = 1
    """Torch threads of each process."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    loader: str = "memory"
    """What reads training images: `memory` or `ffcv`. Both give the same networks."""
    wait: float = 0.0
    """Seconds to wait for a cell that another driver is at work on."""

    @property
    def processes(self) -> int:
        return self.workers or max(1, cores() // self.threads)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_loader(loader: str) -> str:
    """The same name. Raises `MemregError` for one that is no loader's, and where FFCV is not installed."""
    from memreg.data.batches import reader

    reader(loader)
    return loader


def resolve_device(device: str) -> str:
    """`auto` is CUDA where there is one, else the CPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise MemregError(f"unknown device '{device}': one of auto, cpu, cuda, cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise MemregError(f"device '{device}' asked for, but torch sees no CUDA here: use cpu or auto")
    return device
