"""How long a network takes to train, from a few steps beside as many others as will be trained at once."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.engines import server
from memreg.engines.job import cards, dealt
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.resources import Resources

SLOW = 2.0  # seconds of a step from which one step of a smaller batch is timed instead
KEPT = 2048  # examples of a data set, of its thousands, that steps are timed on
GLANCE = 0.02  # seconds of steps, and of predictions, in a first estimate
LONG = 60.0  # seconds of training from which the estimate is worth some of its own
BUDGET = 10.0  # seconds that whoever is about to train waits for the estimate


class Calibration:
    """Seconds of a training step and of an example's prediction, measured once for cells that share them."""

    def __init__(self, measure: Callable[[Recipe, Dataset], tuple[float, float]]) -> None:
        self._measure = measure
        self._known: dict[tuple[object, ...], tuple[float, float]] = {}

    def member_seconds(self, cell: Cell, dataset: Dataset) -> float:
        """Of one process: to train one member of a cell, and to predict every example with it."""
        recipe = cell.recipe
        steps = math.ceil(recipe.epochs * cell.design.size(dataset.n_train) / recipe.batch_size)
        step, prediction = self._measured(recipe, dataset)
        return steps * step + (dataset.n_train + dataset.n_test) * prediction

    def _measured(self, recipe: Recipe, dataset: Dataset) -> tuple[float, float]:
        """Augmentation is cheap beside a slow network, whose cells share one measurement with and without.

        On a part of a larger data set, with so many epochs more that a member takes as many steps: their
        number decides how they are taken.
        """
        from memreg.fusion import worth_it

        fused = worth_it(recipe, dataset.n_train)
        key = (recipe.model, recipe.batch_size, recipe.precision, dataset.image_shape, fused)
        slow = self._known.get(key)
        if slow and slow[0] > SLOW:
            return slow
        own = (*key, recipe.augmentation != 0)
        if own not in self._known:
            some = dataset.first(KEPT)
            epochs = math.ceil(recipe.epochs * dataset.n_train / some.n_train)
            self._known[own] = self._measure(recipe.model_copy(update={"epochs": epochs}), some)
            self._known[key] = self._known[own]
        return self._known[own]


def _together(
    resources: Resources, pool: ProcessPoolExecutor, barrier: Barrier, recipe: Recipe, dataset: Dataset
) -> tuple[float, float]:
    """The mean over processes that measure at the same time: they share memory, or a card."""
    from memreg.studies.timing import timed_with_others

    count, running = resources.processes, list[Future[tuple[float, float]]]()
    failed = list[BaseException]()
    try:
        with server.without_main():
            for _ in range(count):
                running.append(pool.submit(timed_with_others, recipe, dataset, resources.loader))
    except BrokenProcessPool as broken:  # one that died while another model was timed
        failed.append(broken)
    failed += [error for future in running if (error := future.exception()) is not None]
    if failed:  # one has broken the barrier, at which the others then failed
        barrier.reset()
        why = next((e for e in failed if not isinstance(e, BrokenBarrierError)), failed[0])
        if isinstance(why, BrokenProcessPool | BrokenBarrierError):
            raise MemregError(f"a process died, or hung, while steps of {recipe.model} were timed") from why
        raise why
    steps, predictions = zip(*(future.result() for future in running), strict=True)
    return sum(steps) / count, sum(predictions) / count


def _alone(resources: Resources, recipe: Recipe, dataset: Dataset) -> tuple[float, float]:
    """A glance, in this process."""
    import torch

    from memreg.studies.timing import timed

    threads = torch.get_num_threads()
    torch.set_num_threads(resources.threads)
    try:
        return timed(recipe, dataset, torch.device("cpu"), resources.loader, lambda _: None, GLANCE)
    except Exception as error:
        raise MemregError(f"steps of {recipe.model} cannot be timed: {error}") from error
    finally:
        torch.set_num_threads(threads)


@contextmanager
def calibration(resources: Resources) -> Iterator[Calibration]:
    """In as many processes as `resources`, which are resolved, will train in."""
    from memreg.studies.timing import start

    server.begin()
    count = resources.processes
    devices: SimpleQueue[str] = server.context.SimpleQueue()
    for device in dealt(cards(resources.device), count):
        devices.put(device)
    given = (devices, resources.threads, resources.loader, str(Path.cwd()))
    barrier = server.context.Barrier(count)
    pool = ProcessPoolExecutor(count, server.context, initializer=start, initargs=(barrier, *given))
    try:
        yield Calibration(partial(_together, resources, pool, barrier))
    finally:
        pool.shutdown(cancel_futures=True)


def hours(cells: Iterable[tuple[Cell, Dataset, int]], resources: Resources) -> tuple[float, bool]:
    """Of this machine's CPUs, to train so many members of each cell; and whether that is all of them.

    Not all where measuring took too long, and where the user's own code would have to run for it. Where a
    glance in this process says that it takes long, it is measured again in as many processes as will train.
    """
    asked = list(cells)
    glance = _hours(asked, resources, Calibration(partial(_alone, resources)))
    if glance[0] < LONG / 3600:
        return glance
    with calibration(resources) as measured:
        return _hours(asked, resources, measured)


def _hours(
    cells: Iterable[tuple[Cell, Dataset, int]], resources: Resources, measured: Calibration
) -> tuple[float, bool]:
    began, seconds, whole = time.perf_counter(), 0.0, True
    for cell, dataset, members in cells:
        if cell.recipe_code or time.perf_counter() - began > BUDGET:
            whole = False
            continue
        try:
            seconds += members * measured.member_seconds(cell, dataset)
        except MemregError:  # training, which tries again with fewer at once, will say so
            whole = False
    return seconds / resources.processes / 3600, whole


def in_words(hours: float) -> str:
    """A time, to the accuracy that an estimate has."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
