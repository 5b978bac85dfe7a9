"""Members of one cell trained together by one process, as a GPU needs it: its kernels are shorter than what
the host takes to launch them.

A step is recorded once, as a CUDA graph, and replayed. Members take turns, each on a stream of its own.
Networks on images of at most 8x8 pixels are stacked, always as many in one. A member's bits depend neither on
who is trained beside it nor on how many are. Stacked networks, and fused ones, round otherwise than the same
members trained alone: as those with a trace, or a learning curve, are.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from memreg import models, random
from memreg.data import memory
from memreg.data.augmentation import Draws, side_by_side
from memreg.data.dataset import Dataset
from memreg.exhaustion import out_of_memory
from memreg.fusion import Fusion, worth_it
from memreg.members import Prediction
from memreg.models.stacked import can_be_stacked, stacked
from memreg.recipe import Recipe
from memreg.recording import recorded
from memreg.static_step import StaticStep
from memreg.training import (
    AUGMENTATION,
    INITIALISATION,
    ORDER,
    Setting,
    augmentation_of,
    batch_order,
    deterministic,
    new_model,
    predict,
    stream,
    train_member,
)
from memreg.user_code import is_code

STREAMS = 4
"""Members of a large network that are trained at once, where memory allows."""
STACK = 64
"""Networks in one stack. A stack of another number could give other bits: products of other shapes."""
SMALL = 64
"""Pixels of an image up to which networks are stacked."""
TURNS = 4
"""Stacks that a process is given at a time: while one is trained, the next is begun. To begin 64 networks
takes the host about as long as to train them takes a GPU; to begin a large one, next to nothing."""

T = TypeVar("T")
Member = tuple[NDArray[np.bool_], int]
"""Its mask, shape [n_train], and its seed."""


def at_once(recipe: Recipe, dataset: Dataset, setting: Setting) -> int:
    """How many members of a cell a process trains together: on a CPU one, and one of what only
    `train_member` can train: with code of the user's, another loader, a learning curve, or a trace."""
    own = recipe.optimizer is not None or isinstance(recipe.augmentation, str) or is_code(recipe.model)
    looked_at = setting.curve or setting.tracing is not None
    if not setting.device.startswith("cuda") or own or looked_at or setting.loader != "memory":
        return 1
    if _draws(recipe.model, dataset.image_shape, dataset.classes):
        return 1
    return places_for(recipe, dataset).members


def places_for(recipe: Recipe, dataset: Dataset) -> "Places":
    """Those of a process on a GPU: they belong to the model, so that bits do."""
    stack = _stacks(recipe.model, dataset.image_shape, dataset.classes)
    return Places(1, STACK, turns=TURNS) if stack else Places(fused=worth_it(recipe, dataset.n_train))


def train_together(
    recipe: Recipe, dataset: Dataset, members: Sequence[Member], epoch_size: int, device: str
) -> list[Prediction]:
    """As `train_member` of each, with the same bits on the same device, but for stacked and for fused
    networks, which round otherwise. Each prediction is that of member 0: whoever asks knows which it is.

    A data set too large for the card is read from the host, and members are trained one by one. One that has
    room there, and not while others use the card, is memory that has run out where that would be other bits.
    """
    steps, on = math.ceil(recipe.epochs * epoch_size / recipe.batch_size), torch.device(device)
    if (recipe, dataset, steps) not in _rooms:
        let_go()
    if memory.train_images(dataset, on).device.type != on.type:
        if places_for(recipe, dataset).rounds_otherwise and memory.fits(dataset, on):
            raise torch.OutOfMemoryError(f"too little of {device} is free for the images of {dataset.name}")
        return [train_member(recipe, dataset, *member, epoch_size, Setting(device)) for member in members]
    with deterministic():
        return _room(recipe, dataset, steps, on).train(members)


@dataclass(frozen=True, eq=False)
class _Beginning:
    """What a member starts from."""

    state: list[Tensor]
    order: Tensor
    draws: Draws | None


@dataclass(frozen=True)
class Places:
    """How many places a process has for members of a cell, and what each holds."""

    most: int = STREAMS
    networks: int = 1
    """More than one are a stack."""
    turns: int = 1
    """How often in a row they are filled with what a process is given."""
    fused: bool = False
    """Compile the network's kernels into fewer."""

    @property
    def rounds_otherwise(self) -> bool:
        """Than a network that is trained alone."""
        return self.networks > 1 or self.fused

    @property
    def members(self) -> int:
        """What a process is given."""
        return self.most * self.networks * self.turns


class Room:
    """The places in which one cell's members are trained at once; made when they are first needed."""

    def __init__(
        self, recipe: Recipe, dataset: Dataset, steps: int, device: torch.device, places: Places
    ) -> None:
        self._recipe, self._dataset, self._steps, self._device = recipe, dataset, steps, device
        self._networks, self._most = places.networks, places.most
        self._places: list[_Place] = []
        self._images = memory.train_images(dataset, device)
        self._labels = memory.tensor(dataset.train_labels).to(device)
        self._fusion = None
        if places.fused:  # tried on one member, the same whoever trains
            first = self._begin(np.ones(dataset.n_train, bool), 0)
            given = first.state, first.order, first.draws
            self._fusion = Fusion(self._network(0).to(device), recipe.precision, given)

    def train(self, members: Sequence[Member]) -> list[Prediction]:
        """As many at once as there is room for; the host begins the next while these are trained."""
        done: list[Prediction] = []
        with ThreadPoolExecutor(1) as ahead:
            begun = ahead.submit(self._begun, members)
            while len(done) < len(members):
                left = members[len(done) :]
                now, following = left[: self._room], left[self._room :]
                start = time.perf_counter()
                advance: Callable[[], None] | None = None
                try:
                    advance = self._load(begun.result())
                    begun = ahead.submit(self._begun, following)  # not earlier: see _begun
                    found = self._train(now, advance)
                except (MemoryError, RuntimeError) as error:
                    if not out_of_memory(error) or self._most == 1:
                        raise
                else:
                    seconds = (time.perf_counter() - start) / len(now)
                    done += [replace(prediction, seconds=seconds) for prediction in found]
                    continue
                self._most //= 2
                self._places.clear()
                advance = None  # it knows the places
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                begun = ahead.submit(self._begun, left)
        return done

    def begin(self, members: Sequence[Member]) -> Callable[[], None]:
        """Load as many members as there is room for, and give what takes the next step of all."""
        return self._load(self._begun(members))

    @property
    def how(self) -> str:
        """How the steps of those that were begun are taken."""
        return self._places[0].how

    @property
    def _room(self) -> int:
        return self._networks * self._most

    def _begun(self, members: Sequence[Member]) -> list[_Beginning]:
        """Of as many as there is room for. On a thread, and never while steps are recorded or compiled: torch
        has one generator for all threads, and while a device records no other thread may use it."""
        return [self._begin(*member) for member in members[: self._room]]

    def _load(self, beginnings: Sequence[_Beginning]) -> Callable[[], None]:
        loads = self._loads(beginnings)
        places = self._enough(len(loads))
        for place, load in zip(places, loads, strict=True):
            place.load([*load, *[load[0]] * (self._networks - len(load))], self._fusion)

        def advance() -> None:
            for place in places:
                place.advance()

        return advance

    def _train(self, members: Sequence[Member], advance: Callable[[], None]) -> list[Prediction]:
        for _ in range(self._steps):
            advance()
        return [
            place.predict(i, self._dataset, member)
            for (place, i), member in zip(self._where(len(members)), members, strict=True)
        ]

    def networks(self, number: int) -> Iterator[nn.Module]:
        """Those of so many members that were begun, as they are now, in turn: each may be gone when the next
        is asked for."""
        for place, i in self._where(number):
            yield place.network(i)

    def _where(self, number: int) -> list[tuple["_Place", int]]:
        return [(self._places[m // self._networks], m % self._networks) for m in range(number)]

    def _loads(self, given: Sequence[T]) -> list[Sequence[T]]:
        return [given[i : i + self._networks] for i in range(0, len(given), self._networks)]

    def _enough(self, number: int) -> list["_Place"]:
        while len(self._places) < number:
            network = self._network(0).to(self._device)
            many = network if self._networks == 1 else stacked(network, self._networks)
            step = StaticStep(many, self._recipe, self._images, self._labels, self._steps, self._networks)
            self._places.append(_Place(step, len(self._places), network, self._networks))
        return self._places[:number]

    def _network(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(random.seed(seed, INITIALISATION))  # the CPU's alone
            return new_model(self._recipe, self._dataset, torch.device("cpu"))

    def _begin(self, included: NDArray[np.bool_], seed: int) -> _Beginning:
        recipe, rows = self._recipe, torch.from_numpy(np.flatnonzero(included))
        order = batch_order(rows, self._steps, recipe.batch_size, stream(seed, ORDER))
        draws = augmentation_of(recipe, self._dataset, order.numel(), stream(seed, AUGMENTATION))
        assert draws is None or isinstance(draws, Draws)
        network = self._network(seed)
        return _Beginning([*network.parameters(), *network.buffers()], order, draws)


Cell = tuple[Recipe, Dataset, int]
"""What a room is for: the last is the number of steps."""
_rooms: dict[Cell, Room] = {}
"""The last cell's, if any."""


def _room(recipe: Recipe, dataset: Dataset, steps: int, device: torch.device) -> Room:
    if (cell := (recipe, dataset, steps)) not in _rooms:
        _rooms[cell] = Room(recipe, dataset, steps, device, places_for(recipe, dataset))
    return _rooms[cell]


def let_go() -> None:
    """Give back the memory of the last cell's places: another cell, or a member alone, needs it."""
    _rooms.clear()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class _Place:
    """Static tensors for one network, or one stack of them, the stream of its kernels, and its step,
    recorded where the device can."""

    def __init__(self, step: StaticStep, number: int, network: nn.Module, networks: int) -> None:
        """number: of the place; network: one of its kind, in which members of a stack predict."""
        self._step, self._network, self._networks = step, network, networks
        device = step.state[0].device
        self._stream = _stream(device, number) if device.type == "cuda" else None
        self._fused = False
        self._run: Callable[[], None] | None = None

    def load(self, beginnings: Sequence[_Beginning], fusion: Fusion | None) -> None:
        """Begin as many members as the place has networks."""
        first = beginnings[0]
        if self._networks == 1:
            given = first.state, first.order, first.draws
        else:
            state = [torch.stack(same) for same in zip(*(b.state for b in beginnings), strict=True)]
            draws = [b.draws for b in beginnings if b.draws]
            steps = len(first.order)
            order = torch.cat([b.order for b in beginnings], 1)
            given = state, order, side_by_side(draws, steps) if draws else None
        if self._stream:  # the tensors were made on another
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with self._on_stream():
            self._step.load(*given)
            if self._run is None:
                self._fused = fusion is not None and fusion.put_into(self._step)
                self._run = recorded(self._step, self._stream) if self._stream else self._step
                self._step.load(*given)

    def advance(self) -> None:
        assert self._run is not None, "load comes first"
        with self._on_stream():
            self._run()

    def predict(self, i: int, dataset: Dataset, member: Member) -> Prediction:
        """Of the place's i-th network, which is this member's; its seconds are still to be known."""
        with self._on_stream():
            predicted, margin, p_max = predict(self.network(i), dataset)
        included, seed = member
        return Prediction(0, seed, included, predicted, p_max, 0.0, margin, step=self.how)

    def network(self, i: int) -> nn.Module:
        """The place's i-th, as it is now; the next one asked for takes its place in memory."""
        if self._networks > 1:
            mine = [*self._network.parameters(), *self._network.buffers()]
            with self._on_stream(), torch.no_grad():
                for place, values in zip(mine, self._step.state, strict=True):
                    place.copy_(values[i])
        return self._network

    @property
    def how(self) -> str:
        """How steps are taken."""
        run = "eager" if self._run is self._step else "captured"
        fused = " and fused" if self._fused else ""
        return f"{run}{fused}" + (f" in stacks of {self._networks}" if self._networks > 1 else "")

    def _on_stream(self) -> AbstractContextManager[None]:
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    """The same for every cell's places: libraries keep memory for each stream that they ever saw."""
    return torch.cuda.Stream(device)


@lru_cache(maxsize=64)
def _stacks(model: str, image_shape: tuple[int, int, int], classes: int) -> bool:
    if image_shape[1] * image_shape[2] > SMALL:
        return False
    with torch.random.fork_rng(devices=[]):
        return can_be_stacked(models.build(model, image_shape, classes), image_shape)


@lru_cache(maxsize=64)
def _draws(model: str, image_shape: tuple[int, int, int], classes: int) -> bool:
    """Whether the network draws while it trains, as dropout does: beside others it would draw otherwise."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = models.build(model, image_shape, classes).train()
        before = torch.get_rng_state()
        network(torch.zeros(2, *image_shape))
        return not torch.equal(before, torch.get_rng_state())
