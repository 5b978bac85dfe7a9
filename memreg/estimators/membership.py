"""A cell's members attacked one by one: what each attack says of every member and example."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators import attacks
from memreg.estimators.counts import Mask
from memreg.estimators.reference import Blocks, Sides, attackable, pooled, side
from memreg.estimators.roc import Curves, Roc, held, roc, trials
from memreg.estimators.statistics import ATTACKS
from memreg.resources import cores

FEWEST = 32
"""Other networks with an example and without it, in the median, from which on each example has a variance of
its own. With fewer all share one: Carlini et al. (2022, section VI) do below 64 networks, half of them with
each example."""

REFITTED = 10
"""Blocks, at most, without each of which members are attacked anew for intervals. With four blocks, intervals
from leaving out a block's trials, but not what it tells of the others, cover 84 % instead of 95."""


@dataclass(frozen=True, eq=False)
class Known:
    """What attackers have: k members that did not diverge."""

    margin: NDArray[np.float16]
    """Of the label, training examples first, [k, N]."""
    included: Mask
    """[k, n_train]."""
    block: NDArray[np.int64]
    """Of each member, [k]; at least two."""

    def part(self, rows: Mask) -> "Known":
        """rows: members that are kept, [k]."""
        return Known(self.margin[rows], self.included[rows], self.block[rows])


@dataclass(frozen=True, eq=False)
class Attacked:
    """What became of it."""

    scores: dict[str, NDArray[np.float16]]
    """By attack, [k, n_train]: the higher, the likelier the member was trained on the example. NaN where
    fewer than two members of other blocks are with the example, or without it."""
    pooled: bool
    """One variance for all examples."""


def attacked(
    known: Known, chosen: Collection[str] = tuple(ATTACKS), share_variance: bool | None = None
) -> Attacked:
    """Attack every member with those of all other blocks.

    chosen: of ATTACKS; `rmia` takes test examples, and is left out where there are none. share_variance: by
    all examples; by default where members are few.
    """
    shared = few(known) if share_variance is None else share_variance
    work = _Work(known, chosen)
    with ThreadPoolExecutor(cores()) as pool:
        if shared:
            list(pool.map(work.attack, work.chunks, pooled(list(pool.map(work.sides, work.chunks)))))
        else:
            list(pool.map(work.attack, work.chunks))
        if "rmia" in work.scores:
            list(pool.map(work.compare, range(len(known.margin))))
    return Attacked(work.scores, shared)


def few(known: Known) -> bool:
    """Whether examples that some members include and some leave out have fewer than FEWEST others, with or
    without, in the median."""
    k = len(known.block)
    with_it = known.included.sum(0)
    less = np.minimum(with_it, k - with_it)
    less = less[less > 1]
    _, sizes = np.unique(known.block, return_counts=True)
    return not len(less) or bool(np.median(less) * (1 - sizes.max() / k) < FEWEST)


def curves(known: Known, found: Attacked) -> dict[str, Curves]:
    """The curve of each attack, of all members and without each block.

    Where blocks are few, each counts for much in what is known of the others: without it, the others are
    attacked anew, in the same way.
    """
    whole = {name: trials(score, known.included, known.block) for name, score in found.scores.items()}
    blocks = np.unique(known.block)
    if len(blocks) > REFITTED:
        return {name: Curves(counted) for name, counted in whole.items()}
    without: dict[str, list[Roc]] = {name: [] for name in whole}
    for block in blocks if len(blocks) > 2 else ():
        rest = known.part(known.block != block)
        for name, score in attacked(rest, whole, found.pooled).scores.items():
            without[name].append(roc(trials(score, rest.included, rest.block).count.sum(0)))
    return {name: Curves(whole[name], without[name]) for name in whole}


class _Work:
    """A chunk of examples at a time."""

    def __init__(self, known: Known, chosen: Collection[str]) -> None:
        k, n = known.included.shape
        self.known, self.blocks = known, Blocks.of(known.block)
        self.chunks = list(self.blocks.chunks(n))
        self.margin, test = known.margin[:, :n], known.margin[:, n:]
        wanted = [name for name in ATTACKS if name in chosen and (test.size or name != "rmia")]
        self.scores = {name: np.empty((k, n), np.float16) for name in wanted}
        if "rmia" in wanted:
            self.population = attacks.population(test, known.block)
            self.log_ratio = np.empty((k, n), np.float32)

    def arranged(self, chunk: slice) -> tuple[NDArray[np.float16], Mask, Mask]:
        """Margins, members with each example, and those without, [q, n, b]."""
        inside, there = self.blocks.arrange(self.known.included[:, chunk]), self.blocks.there[:, None]
        return self.blocks.arrange(self.margin[:, chunk]), inside & there, ~inside & there

    def sides(self, chunk: slice) -> Sides:
        margin, on, off = self.arranged(chunk)
        return side(margin, on), side(margin, off)

    def attack(self, chunk: slice, ready: Sides | None = None) -> None:
        margin, on, off = self.arranged(chunk)
        sides = ready or (side(margin, on), side(margin, off))
        exact = margin.astype(np.float32)  # results are kept in less
        ways: dict[str, Callable[[], NDArray[Any]]] = {
            "online": lambda: attacks.online(exact, *sides),
            "offline": lambda: attacks.offline(exact, sides[1]),
            "rmia": lambda: attacks.against_mean(margin, on, off),
            "threshold": lambda: exact,
        }
        unknown = ~attackable(sides)
        for name, out in self.scores.items():
            values = np.where(unknown, np.nan, ways[name]())
            if name == "rmia":
                self.blocks.restore(values, self.log_ratio[:, chunk])
            else:
                self.blocks.restore(held(values), out[:, chunk])

    def compare(self, member: int) -> None:
        """RMIA compares a member's images with what it finds of the population."""
        ratio = self.log_ratio[member]
        values = attacks.rmia(ratio, self.population[member])
        self.scores["rmia"][member] = held(np.where(np.isnan(ratio), np.nan, values))
