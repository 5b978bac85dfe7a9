"""What a grid will cost, before anything is trained."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memreg.data import Dataset, load
from memreg.data.stand_in import stand_in
from memreg.engines.job import cards, resolved
from memreg.grid import load_grid
from memreg.precision import slow_bf16
from memreg.requests.plan import Request
from memreg.resources import Resources
from memreg.studies.calibration import Calibration, calibration, in_words
from memreg.studies.resolved import Resolved, resolve
from memreg.wording import counted

SHARD_BYTES = 1.65  # per member and example, measured: see docs/benchmarks.md
GPUS = (1, 8, 64)


@dataclass(frozen=True)
class Cost:
    """What one cell costs."""

    item: Resolved
    images: int
    """Seen in training, all members."""
    storage: float
    """Bytes of shards, all members."""
    hours: float
    """Of one process of this machine, all members."""


def costs(request: Request, resources: Resources) -> Iterator[str]:
    """A grid's cells and their costs, and the sum, as lines for people, each as soon as it is known."""
    resources = resolved(resources)
    grid = load_grid(request.grid, request.members)
    found, workers = list[Cost](), resources.processes
    yield f"{'data set':24} {'model':14} {'members':>8} {'images':>9} {'storage':>9} {'time':>9}"
    with calibration(resources) as measured:
        for item in resolve(grid.cells, request.data_dir, _shape):
            c, cell = _cost(item, measured), item.cell
            found.append(c)
            yield (
                f"{cell.dataset:24} {cell.recipe.model:14} {item.members:8,d} {_short(c.images):>9} "
                f"{_short(c.storage) + 'B':>9} {in_words(c.hours / workers):>9}"
            )
    hours = sum(c.hours for c in found) / workers
    yield ""
    yield (
        f"{counted(len(found), 'cell')}, {counted(sum(c.item.members for c in found), 'member')}, "
        f"{_short(sum(c.images for c in found))} images, "
        f"{_short(sum(c.storage for c in found))}B of shards"
    )
    device = resources.device
    where = f"{counted(workers, 'process', 'processes')} on {device}"
    yield f"about {in_words(hours)} on this machine ({where}), from a few steps of each model"
    if device != "cpu":
        yield f"about {on_gpus(hours * min(workers, len(cards(device))))}"
    if text := slow_bf16([c.item.cell.recipe for c in found], device):
        yield f"warning: {text}"
    if request.throughput is not None:
        yield f"about {in_words(hours / request.throughput)} at {request.throughput:g} times its throughput"


def on_gpus(hours: float) -> str:
    """What so many hours of one GPU, with its processes, take on several: members are independent."""
    one, *more = (f"{in_words(hours / n)} on {n}" for n in GPUS)
    return f"{one} GPU, {', '.join(more)}"


def _shape(name: str, data_dir: Path | None) -> Dataset:
    """A data set of the named one's shape: nothing is downloaded or decoded for a plan."""
    return stand_in(name) or load(name, data_dir)


def _cost(item: Resolved, calibration: Calibration) -> Cost:
    recipe, dataset = item.cell.recipe, item.dataset
    steps = math.ceil(recipe.epochs * item.cell.design.size(dataset.n_train) / recipe.batch_size)
    return Cost(
        item,
        steps * recipe.batch_size * item.members,
        SHARD_BYTES * (dataset.n_train + dataset.n_test) * item.members,
        calibration.member_seconds(item.cell, dataset) * item.members / 3600,
    )


def _short(number: float) -> str:
    """Three digits and a metric prefix."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} P"
