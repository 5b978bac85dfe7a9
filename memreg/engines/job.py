"""The unit of work: one member of one cell."""

import os
from dataclasses import dataclass

from memreg.cell import Cell
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.prediction import Prediction


@dataclass(frozen=True)
class Job:
    cell: Cell
    member: int


@dataclass(frozen=True)
class Resources:
    """Where and with what members are trained. Nothing here is part of what a cell is."""

    workers: int = 0
    """Processes; 0 for as many as cores divided by `threads`."""
    threads: int = 1
    """Torch threads of each process."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""

    @property
    def processes(self) -> int:
        return self.workers or max(1, cores() // self.threads)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def run_job(job: Job, dataset: Dataset, device: str) -> Prediction:
    """Train and predict one member. The first of a cell keeps its learning curve."""
    from memreg.training import train_member

    design, n = job.cell.design, dataset.n_train
    return train_member(
        job.cell.recipe,
        dataset,
        design.included(job.member, n),
        design.member_seed(job.member),
        member=job.member,
        epoch_size=design.size(n),
        device=device,
        curve=job.member == 0,
    )
