"""The unit of work: one member of one cell."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from memreg.cell import Cell
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources
from memreg.tracing import Tracing

AHEAD = 2  # jobs submitted per worker: enough that none waits for the driver
ATTEMPTS = 3  # a member whose worker dies this often is given up
ALONE = "with no other beside it: its model or its batch_size is too large for the memory that there is"


class ExhaustedError(MemregError):
    """Memory ran out while a member was trained."""


@dataclass(frozen=True)
class Job:
    cell: Cell
    member: int
    tracing: Tracing | None = None
    """Whether it keeps a trace, and of what."""


Group = tuple[Job, ...]
"""Members of one cell that a process trains together."""


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


def resolved(resources: Resources) -> Resources:
    """The same, with this machine's device for `auto` and a process for each of its cards, unless `workers`
    says how many. Raises `MemregError` for what is not here."""
    resolve_loader(resources.loader)
    device = resolve_device(resources.device)
    workers = resources.workers or (0 if device == "cpu" else len(cards(device)))
    return resources.model_copy(update={"device": device, "workers": workers})


def resolve_device(device: str) -> str:
    """`auto` is CUDA where there is one, else the CPU."""
    import torch

    here = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if here else "cpu"
    if device == "cpu":
        return device
    if not here:
        raise MemregError(f"device '{device}' asked for, but torch sees no CUDA here: use cpu or auto")
    if device not in ("cuda", *(found := cards("cuda"))):
        raise MemregError(f"device '{device}' asked for, but torch sees no such card: {', '.join(found)}")
    return device


def cards(device: str) -> list[str]:
    """What this device is made of: `cuda` is every card that torch sees, each as torch names it."""
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] if device == "cuda" else [device]


def dealt(found: Sequence[str], workers: int) -> list[str]:
    """The card of each worker: in turn, so that none has two more than another."""
    return [found[i % len(found)] for i in range(workers)]
