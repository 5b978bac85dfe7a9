"""How long a network takes to train, from a few steps of it."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.recipe import Recipe
from memreg.resources import Resources

PREDICTED = 64  # examples of each split
STEPS = (3, 13)  # timed and subtracted, which leaves out what only the first steps cost
SMALL_BATCH, SMALL_STEPS = 16, 1
SLOW = 2.0  # seconds of a step from which smaller batches, and fewer of them, are timed instead
BUDGET = 10.0  # seconds that whoever is about to train waits for the estimate


class Calibration:
    """Seconds of a training step and of an example's prediction, measured once for cells that share them."""

    def __init__(self, device: str, loader: str) -> None:
        self._device, self._loader = device, loader
        self._known: dict[tuple[object, ...], tuple[float, float]] = {}

    def member_seconds(self, cell: Cell, dataset: Dataset) -> float:
        """Of one process: to train one member of a cell, and to predict every example with it."""
        recipe = cell.recipe
        steps = math.ceil(recipe.epochs * cell.design.size(dataset.n_train) / recipe.batch_size)
        step, prediction = self._measured(recipe, dataset)
        return steps * step + (dataset.n_train + dataset.n_test) * prediction

    def _measured(self, recipe: Recipe, dataset: Dataset) -> tuple[float, float]:
        """Augmentation is cheap beside a slow network, whose cells share one measurement with and without."""
        key = (recipe.model, recipe.batch_size, recipe.precision, dataset.image_shape)
        slow = self._known.get(key)
        if slow and slow[0] > SLOW:
            return slow
        own = (*key, recipe.augmentation != 0)
        if own not in self._known:
            self._known[own] = _measure(recipe, dataset, self._device, self._loader)
            self._known[key] = self._known[own]
        return self._known[own]


def hours(cells: Iterable[tuple[Cell, Dataset, int]], resources: Resources) -> tuple[float, bool]:
    """Of this machine's CPUs, to train so many members of each cell; and whether that is all of them.

    Not all where measuring took too long, and where the user's own code would have to run for it.
    """
    import torch

    calibration, began = Calibration("cpu", resources.loader), time.perf_counter()
    threads, seconds, whole = torch.get_num_threads(), 0.0, True
    torch.set_num_threads(resources.threads)
    for cell, dataset, members in cells:
        if cell.recipe_code or time.perf_counter() - began > BUDGET:
            whole = False
        else:
            seconds += members * calibration.member_seconds(cell, dataset)
    torch.set_num_threads(threads)
    return seconds / resources.processes / 3600, whole


def _measure(recipe: Recipe, dataset: Dataset, device: str, loader: str) -> tuple[float, float]:
    import torch

    from memreg.training import Steps, augmentation_of, batch_order, fit, new_model, predict

    generator = torch.Generator().manual_seed(0)
    model = new_model(recipe, dataset, torch.device(device))

    def train(steps: int, batch: int) -> float:
        order = batch_order(torch.arange(dataset.n_train), steps, batch, generator)
        draws = augmentation_of(recipe, dataset, order.numel(), generator)
        return _seconds(partial(fit, model, recipe, dataset, Steps(order, draws, loader), {}))

    batch = min(recipe.batch_size, SMALL_BATCH)
    if train(1, batch) * recipe.batch_size / batch > SLOW:
        step, predicted = train(SMALL_STEPS, batch) / SMALL_STEPS * recipe.batch_size / batch, batch
    else:
        first, then = (train(count, recipe.batch_size) for count in STEPS)
        step, predicted = max(0.0, then - first) / (STEPS[1] - STEPS[0]), PREDICTED
    few = replace(
        dataset,
        train_images=dataset.train_images[:predicted],
        train_labels=dataset.train_labels[:predicted],
        test_images=dataset.test_images[:predicted],
        test_labels=dataset.test_labels[:predicted],
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


def in_words(hours: float) -> str:
    """A time, to the accuracy that an estimate has."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
