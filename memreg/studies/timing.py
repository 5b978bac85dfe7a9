"""A few steps of training, timed in one of several processes at the same time."""

import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

import numpy as np
import torch

from memreg.data.dataset import Dataset
from memreg.engines import worker
from memreg.errors import MemregError
from memreg.exhaustion import out_of_memory
from memreg.recipe import Recipe
from memreg.studies.calibration import SLOW
from memreg.together import Places, Room, at_once, places_for
from memreg.training import (
    Setting,
    Steps,
    augmentation_of,
    batch_order,
    deterministic,
    fit,
    new_model,
    predict,
)

SECONDS = 0.5  # that steps are timed for, and predictions, where nobody waits to train
WARM = 2  # steps that are not timed: libraries choose kernels, and allocators grow
MOST = 200  # steps
PREDICTED = (64, 1024)  # examples of each split, at least and at most
SMALL_BATCH = 16
PATIENCE = 300.0  # seconds for all processes to be warm

_barrier: Barrier | None = None
"""Of the processes that are timed at the same time."""


def start(barrier: Barrier, devices: SimpleQueue[str], threads: int, loader: str, directory: str) -> None:
    """Prepare this process, as one that trains."""
    global _barrier
    _barrier = barrier
    worker.start({}, devices, threads, loader, directory)


def timed_with_others(recipe: Recipe, dataset: Dataset, loader: str) -> tuple[float, float]:
    """Seconds of a step, and of an example's prediction, where as many processes as the barrier is for are
    at it. Raises `MemregError` where it cannot be done, and `BrokenBarrierError` where another could not."""
    assert _barrier is not None
    try:
        return timed(recipe, dataset, torch.device(worker.own_device()), loader, _barrier.wait)
    except BrokenBarrierError:
        raise
    except Exception as error:
        _barrier.abort()
        why = str(error).partition("\n")[0] or type(error).__name__
        raise MemregError(f"{recipe.model} cannot be timed in {_barrier.parties} processes: {why}") from error


def timed(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    loader: str,
    meet: Callable[[float], object],
    seconds: float = SECONDS,
) -> tuple[float, float]:
    """Seconds of a step of training, and of an example's prediction, timed for so many; meet: waits for all
    who do the same."""
    with deterministic():
        if at_once(recipe, dataset, Setting(str(device), loader)) > 1:
            return _timed_together(recipe, dataset, device, meet)
        return _timed_alone(recipe, dataset, device, loader, meet, seconds)


def _timed_alone(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    loader: str,
    meet: Callable[[float], object],
    seconds: float,
) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    model = new_model(recipe, dataset, device)

    def train(steps: int, batch: int) -> float:
        """Seconds of each of so many steps."""
        order = batch_order(torch.arange(dataset.n_train), steps, batch, generator)
        draws = augmentation_of(recipe, dataset, order.numel(), generator)
        return _seconds(device, lambda: fit(model, recipe, dataset, Steps(order, draws, loader), {})) / steps

    batch = min(recipe.batch_size, SMALL_BATCH)
    larger = recipe.batch_size / batch
    train(1, batch)  # the first of all may take a second, whatever the model
    slow = train(1, batch) * larger > SLOW
    if not slow:
        train(WARM, recipe.batch_size)
    meet(PATIENCE)
    if slow:
        step, examples = train(1, batch) * larger, batch
    else:
        step = train(_within(seconds / train(1, recipe.batch_size), 3, MOST), recipe.batch_size)
        examples = _within(seconds / step * recipe.batch_size, *PREDICTED)
    few = dataset.first(examples)
    if not slow:
        predict(model, few)
    return step, _seconds(device, lambda: predict(model, few)) / (few.n_train + few.n_test)


def _timed_together(
    recipe: Recipe, dataset: Dataset, device: torch.device, meet: Callable[[float], object]
) -> tuple[float, float]:
    """The same of members that a process trains together, for each of them."""
    advance, members = _warm(recipe, dataset, device, places_for(recipe, dataset))

    def train(steps: int) -> float:
        return _seconds(device, lambda: [advance() for _ in range(steps)]) / steps

    meet(PATIENCE)
    step = train(_within(SECONDS / train(1), 3, MOST)) / members
    model, few = new_model(recipe, dataset, device), dataset.first(PREDICTED[1])
    predict(model, few)
    return step, _seconds(device, lambda: predict(model, few)) / (few.n_train + few.n_test)


def _warm(
    recipe: Recipe, dataset: Dataset, device: torch.device, places: Places
) -> tuple[Callable[[], None], int]:
    """What takes a step of as many members as memory has room for, after the first few, and how many."""
    while True:
        try:
            return _begun(recipe, dataset, device, places), places.most * places.networks
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or places.most == 1:
                raise
        if device.type == "cuda":  # outside of the clause above, in which the error still knows the places
            torch.cuda.empty_cache()
        places = replace(places, most=places.most // 2)


def _begun(recipe: Recipe, dataset: Dataset, device: torch.device, places: Places) -> Callable[[], None]:
    room, everything = Room(recipe, dataset, WARM + 1 + MOST, device, places), np.ones(dataset.n_train, bool)
    advance = room.begin([(everything, seed) for seed in range(places.most * places.networks)])
    for _ in range(WARM):
        advance()
    _synchronize(device)
    return advance


def _within(number: float, low: int, high: int) -> int:
    return int(min(high, max(low, number)))


def _seconds(device: torch.device, f: Callable[[], object]) -> float:
    _synchronize(device)
    start = time.perf_counter()
    f()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    """Wait for a GPU, whose work is only begun when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
