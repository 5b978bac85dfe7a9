"""Ray actors that train members, each with a share of a node. An actor keeps its process, and with it torch,
the CUDA context and its data sets; the process of a Ray task is given to other tasks, in which CUDA takes no
notice of another CUDA_VISIBLE_DEVICES.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from memreg.data.dataset import Dataset
from memreg.engines.job import (
    AHEAD,
    ATTEMPTS,
    ExhaustedError,
    Group,
    Job,
    cards,
    resolve_device,
    resolve_loader,
)
from memreg.engines.worker import run_jobs
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources


@dataclass(frozen=True)
class Share:
    """What a trainer has of its node."""

    cpus: int
    gpus: float

    def places(self, node: dict[str, float]) -> int:
        """How many a node with these resources has room for. A share below 1 is of one GPU."""
        room = node.get("CPU", 0) // self.cpus
        if self.gpus:
            gpus = node.get("GPU", 0)
            room = min(room, gpus * int(1 / self.gpus + 1e-9) if self.gpus < 1 else gpus // self.gpus)
        return int(room)

    @property
    def doubled(self) -> "Share":
        """With half as many beside it."""
        return Share(2 * self.cpus, min(1.0, 2 * self.gpus) if self.gpus < 1 else 2 * self.gpus)


class Trainer:
    """The actor. Nothing that may fail is done before it is asked to train."""

    def __init__(self, resources: Resources, device: str, here: Path) -> None:
        """here: the driver's directory, which has the user's code."""
        self._resources, self._device, self._here = resources, device, here
        self._opened: dict[Any, Dataset] = {}

    def begun(self) -> None:
        """Answer, which says that the actor has its share."""

    def train(self, group: Group, dataset: list[Any]) -> list[Prediction]:
        """Train these members. dataset: a reference alone, in a list, so that Ray sends no copy."""
        torch.set_num_threads(self._resources.threads)
        if self._here.is_dir():
            os.chdir(self._here)
        device = cards(resolve_device(self._device))[0]
        if dataset[0] not in self._opened:
            self._opened[dataset[0]] = ray.get(dataset[0])  # a view of the node's copy
        return run_jobs(group, self._opened[dataset[0]], device, resolve_loader(self._resources.loader))


@dataclass(eq=False)
class _Place:
    """A trainer, and what it was given."""

    trainer: Any
    begun: Any
    """None once it has answered."""
    given: dict[Any, Group] = field(default_factory=dict)
    """The first is what it trains."""


class Trainers:
    """Actors of one share, on whatever nodes have room for them."""

    def __init__(self, start: Callable[[], Any], deaths: Counter[Job]) -> None:
        self._start, self._deaths = start, deaths
        self._places: list[_Place] = []
        self._stillborn = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def groups(self) -> list[Group]:
        """What they were given."""
        return [group for place in self._places for group in place.given.values()]

    def grow(self, number: int) -> None:
        """Ask for as many trainers, if there are fewer. A trainer waits until a node has room for it."""
        while len(self._places) < number:
            trainer = self._start()
            self._places.append(_Place(trainer, trainer.begun.remote()))

    def give(self, waiting: deque[Group], datasets: dict[str, Any]) -> None:
        """Hand jobs to those that have begun, first to those that have the fewest."""
        while waiting and (free := [p for p in self._places if not p.begun and len(p.given) < AHEAD]):
            place = min(free, key=lambda p: len(p.given))
            group = waiting.popleft()
            ref = place.trainer.train.remote(group, [datasets[group[0].cell.dataset_fingerprint]])
            place.given[ref] = group

    def finished(self, waiting: deque[Group], seconds: float) -> Iterator[tuple[Job, Prediction]]:
        """What comes first, within so many seconds. What a trainer was given that died is put back.

        Raises `ExhaustedError` where memory ran out, `MemregError` where a member cannot be trained.
        """
        by_ref = {ref: p for p in self._places for ref in ([p.begun] if p.begun else p.given)}
        for ref in ray.wait(list(by_ref), timeout=seconds)[0]:
            place = by_ref[ref]
            group = place.given.get(ref)
            try:
                answer = ray.get(ref)
            except RayTaskError as error:
                if isinstance(error.cause, MemregError):
                    raise type(error.cause)(str(error.cause)) from None
                raise
            except OutOfMemoryError:
                raise ExhaustedError(f"a node ran out of memory while {_said(group)} was trained") from None
            except RayError as error:
                self._places.remove(place)
                waiting.extendleft(reversed(place.given.values()))
                self._count(next(iter(place.given.values()), None), error)
                continue
            self._stillborn = 0
            if group is None:
                place.begun = None
            else:
                del place.given[ref]
                yield from zip(group, answer, strict=True)

    def end(self) -> list[Group]:
        """End them all; what they were given and have not finished."""
        left = self.groups
        for place in self._places:
            ray.kill(place.trainer)
        self._places.clear()
        return left

    def _count(self, group: Group | None, error: RayError) -> None:
        """Raise `MemregError` where trainers have died too often: of one member, or before any."""
        if group is None:
            self._stillborn += 1
            often = self._stillborn == ATTEMPTS * (len(self._places) + 1)
            if often or (isinstance(error, RayActorError) and error.actor_init_failed):
                why = str(error).strip().splitlines()[-1]
                raise MemregError(f"workers of the Ray cluster die before they train: {why}")
            return
        self._deaths[group[0]] += 1
        if self._deaths[group[0]] == ATTEMPTS:
            raise MemregError(
                f"a worker or its node died {ATTEMPTS} times while {_said(group)} was trained "
                f"({type(error).__name__}): see Ray's logs on that node for the cause"
            ) from None


def _said(group: Group | None) -> str:
    if group is None:
        return "none"
    return f"member {group[0].member} of {group[0].cell.recipe.model} on {group[0].cell.dataset}"
