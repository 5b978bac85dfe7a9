"""The unit of work: one member of one cell."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from memreg.cell import Cell
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources
from memreg.tracing import Tracing

AHEAD = 2  # jobs submitted per worker: enough that none waits for the driver
ATTEMPTS = 3  # a member whose worker dies this often is given up


@dataclass(frozen=True)
class Job:
    cell: Cell
    member: int
    tracing: Tracing | None = None
    """Whether it keeps a trace, and of what."""


@dataclass(frozen=True)
class Engine:
    """What members come from."""

    run: Callable[[Iterable[Job], Mapping[str, Dataset]], Iterator[tuple[Job, Prediction]]]
    """Runs jobs on data sets by fingerprint; yields each with its prediction, in the order they finish."""
    device: str
    """On which it trains, as torch names it; "" if it trains nothing."""
    here: Resources | None = None
    """What it uses of this machine; None where others train, and where nothing is trained."""


def resolve_loader(loader: str) -> str:
    """The same name. Raises `MemregError` where FFCV is asked for and not installed."""
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
