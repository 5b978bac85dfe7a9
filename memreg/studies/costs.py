"""What a grid will cost, before anything is trained."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from memreg.data import Dataset, load
from memreg.data.stand_in import stand_in
from memreg.engines.job import resolve_device, resolve_loader
from memreg.grid import load_grid
from memreg.precision import slow_bf16
from memreg.recipe import Recipe
from memreg.requests.plan import Request
from memreg.resources import Resources
from memreg.studies.resolved import Resolved, resolve

SHARD_BYTES = 1.65  # per member and example, measured: see docs/benchmarks.md
PREDICTED = 64  # examples of each split
STEPS = (3, 13)  # timed and subtracted, which leaves out what only the first steps cost
SMALL_BATCH, SMALL_STEPS = 32, (1, 3)
SLOW = 1.0  # seconds of a step from which smaller batches, and fewer of them, are timed instead


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


def costs(request: Request, resources: Resources) -> str:
    """A table of a grid's cells and their costs, and the sum, as text for people."""
    import torch

    torch.set_num_threads(resources.threads)
    device, loader = resolve_device(resources.device), resolve_loader(resources.loader)
    calibrate = _Calibration(device, loader)
    grid = load_grid(request.grid, request.members)
    found = [_cost(item, calibrate) for item in resolve(grid.cells, request.data_dir, _shape)]
    workers = resources.processes
    lines = [f"{'data set':24} {'model':14} {'members':>8} {'images':>9} {'storage':>9} {'time':>9}"]
    for c in found:
        cell = c.item.cell
        lines.append(
            f"{cell.dataset:24} {cell.recipe.model:14} {c.item.members:8,d} {_short(c.images):>9} "
            f"{_short(c.storage) + 'B':>9} {_time(c.hours / workers):>9}"
        )
    hours = sum(c.hours for c in found) / workers
    lines += [
        "",
        f"{len(found)} cells, {sum(c.item.members for c in found):,} members, "
        f"{_short(sum(c.images for c in found))} images, {_short(sum(c.storage for c in found))}B of shards",
        f"about {_time(hours)} on this machine ({workers} processes on {device}), from a "
        "few steps of each model",
    ]
    if text := slow_bf16([c.item.cell.recipe for c in found], device):
        lines.append(f"warning: {text}")
    if request.throughput is not None:
        other = _time(hours / request.throughput)
        lines.append(f"about {other} at {request.throughput:g} times its throughput")
    return "\n".join(lines)


def _shape(name: str, data_dir: Path | None) -> Dataset:
    """A data set of the named one's shape: nothing is downloaded or decoded for a plan."""
    return stand_in(name) or load(name, data_dir)


def _cost(item: Resolved, calibrate: "_Calibration") -> Cost:
    recipe, dataset = item.cell.recipe, item.dataset
    steps = math.ceil(recipe.epochs * item.cell.design.size(dataset.n_train) / recipe.batch_size)
    step, prediction = calibrate(recipe, dataset)
    examples = dataset.n_train + dataset.n_test
    return Cost(
        item,
        steps * recipe.batch_size * item.members,
        SHARD_BYTES * examples * item.members,
        (steps * step + examples * prediction) * item.members / 3600,
    )


class _Calibration:
    """Seconds of a training step and of an example's prediction, once for all cells that share them."""

    def __init__(self, device: str, loader: str) -> None:
        self._device, self._loader = device, loader
        self._known: dict[tuple[object, ...], tuple[float, float]] = {}

    def __call__(self, recipe: Recipe, dataset: Dataset) -> tuple[float, float]:
        augmented = recipe.augmentation != 0
        key = (
            recipe.model,
            recipe.batch_size,
            recipe.precision,
            augmented,
            dataset.image_shape,
            dataset.classes,
        )
        if key not in self._known:
            self._known[key] = _calibrate(recipe, dataset, self._device, self._loader)
        return self._known[key]


def _calibrate(recipe: Recipe, dataset: Dataset, device: str, loader: str) -> tuple[float, float]:
    import torch

    from memreg.training import Steps, augmentation_of, batch_order, fit, new_model, predict

    generator = torch.Generator().manual_seed(0)
    model = new_model(recipe, dataset, torch.device(device))

    def train(steps: int, batch: int) -> float:
        order = batch_order(torch.arange(dataset.n_train), steps, batch, generator)
        draws = augmentation_of(recipe, dataset, order.numel(), generator)
        return _seconds(partial(fit, model, recipe, dataset, Steps(order, draws), {}, loader))

    batch, steps = recipe.batch_size, STEPS
    if batch > SMALL_BATCH and train(1, SMALL_BATCH) * batch / SMALL_BATCH > SLOW:
        batch, steps = SMALL_BATCH, SMALL_STEPS
    first, then = (train(count, batch) for count in steps)
    step = max(0.0, then - first) / (steps[1] - steps[0]) * recipe.batch_size / batch
    few = replace(
        dataset,
        train_images=dataset.train_images[:PREDICTED],
        train_labels=dataset.train_labels[:PREDICTED],
        test_images=dataset.test_images[:PREDICTED],
        test_labels=dataset.test_labels[:PREDICTED],
    )
    return step, _seconds(partial(predict, model, few)) / (few.n_train + few.n_test)


def _seconds(f: Callable[[], object]) -> float:
    _synchronize()
    start = time.perf_counter()
    f()
    _synchronize()
    return time.perf_counter() - start


def _synchronize() -> None:
    """Wait for the GPU, if there is one, whose work is only begun when a call returns."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _short(number: float) -> str:
    """Three digits and a metric prefix."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 1000:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} P"


def _time(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
