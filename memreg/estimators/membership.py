"""A cell's members attacked one by one: what each attack says of every member and example."""

from collections.abc import Callable, Collection, Sequence
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


BY_ALL = "by_all"


@dataclass(frozen=True, eq=False)
class Known:
    """What attackers have: k members that did not diverge."""

    margin: NDArray[np.float16]
    """Of the label, training examples first, [k, N]."""
    included: Mask
    """[k, n_train]."""
    block: NDArray[np.int64]
    """Of each member, [k]; at least two."""
    views: tuple[NDArray[np.float16], ...] = ()
    """Margins of other queries than the image: of each view of it, [k, n_train]."""

    def part(self, rows: Mask) -> "Known":
        """rows: members that are kept, [k]."""
        views = tuple(view[rows] for view in self.views)
        return Known(self.margin[rows], self.included[rows], self.block[rows], views)

    @property
    def averaged(self) -> "Known":
        """With one margin an example: the mean over its queries."""
        if not self.views:
            return self
        queries = self.queries(slice(None))
        total = np.zeros(self.included.shape, np.float32)
        for query in queries:
            total += query
        return Known((total / len(queries)).astype(np.float16), self.included, self.block)

    def queries(self, examples: slice) -> list[NDArray[np.float16]]:
        """Margins of the images and of each view of them, [k, examples]."""
        n = self.included.shape[1]
        return [query[:, examples] for query in (self.margin[:, :n], *self.views)]


@dataclass(frozen=True, eq=False)
class Attacked:
    """What became of it."""

    scores: dict[str, NDArray[np.float16]]
    """By attack, [k, n_train]: the higher, the likelier the member was trained on the example. NaN where
    fewer than two members of other blocks are with the example, or without it."""
    by_all: NDArray[np.float16] | None
    """Of `online`, where it was chosen and there are no views: what a new network of the same margins would
    be given by all of the members, [k, n_train]. Intervals of single examples take a function of one margin:
    `Known.averaged` has one."""
    pooled: bool
    """One variance for all examples."""


def attacked(
    known: Known, chosen: Collection[str] = tuple(ATTACKS), share_variance: bool | None = None
) -> Attacked:
    """Attack every member with those of all other blocks.

    chosen: of ATTACKS; `rmia` takes test examples, and is left out where there are none, and where there are
    views, of which test examples have none. share_variance: by all examples; by default where members are
    few. Where there are views, a score is the mean over the queries (Carlini et al. 2022, section VI-C).
    """
    shared = few(known) if share_variance is None else share_variance
    work = _Work(known, chosen)
    with ThreadPoolExecutor(cores()) as pool:
        if shared:
            by_query = zip(*pool.map(work.sides, work.chunks), strict=True)
            ready = zip(*(pooled(chunks) for chunks in by_query), strict=True)
            list(pool.map(work.attack, work.chunks, ready))
        else:
            list(pool.map(work.attack, work.chunks))
        if "rmia" in work.kept:
            list(pool.map(work.compare, range(len(known.margin))))
    by_all = work.kept.pop(BY_ALL, None)
    return Attacked(work.kept, by_all, shared)


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
        self.known, self.blocks = known, Blocks.and_none_of(known.block)
        self.chunks = list(self.blocks.chunks(n))
        test = known.margin[:, n:]
        comparable = test.size and not known.views
        wanted = [name for name in ATTACKS if name in chosen and (comparable or name != "rmia")]
        wanted += [BY_ALL] if "online" in wanted and not known.views else []
        self.kept = {name: np.empty((k, n), np.float16) for name in wanted}
        if "rmia" in wanted:
            self.population = attacks.population(test, known.block)
            self.log_ratio = np.empty((k, n), np.float32)

    def sides(self, chunk: slice) -> list[Sides]:
        """Of each query."""
        on, off = self._arranged(chunk)
        return [(side(margin, on), side(margin, off)) for margin in self._queries(chunk)]

    def attack(self, chunk: slice, ready: Sequence[Sides] | None = None) -> None:
        on, off = self._arranged(chunk)
        queries = self._queries(chunk)
        totals: dict[str, NDArray[Any]] = {}
        for i, margin in enumerate(queries):
            sides = ready[i] if ready else (side(margin, on), side(margin, off))
            for name, values in self._answers(margin, on, off, sides).items():
                totals[name] = totals[name] + values if i else values
        for name, total in totals.items():
            mean = total / len(queries)
            if name == "rmia":
                self.blocks.restore(mean, self.log_ratio[:, chunk])
            else:
                self.blocks.restore(held(mean), self.kept[name][:, chunk])

    def compare(self, member: int) -> None:
        """RMIA compares a member's images with what it finds of the population."""
        ratio = self.log_ratio[member]
        values = attacks.rmia(ratio, self.population[member])
        self.kept["rmia"][member] = held(np.where(np.isnan(ratio), np.nan, values))

    def _answers(
        self, margin: NDArray[np.float16], on: Mask, off: Mask, sides: Sides
    ) -> dict[str, NDArray[Any]]:
        """Of each attack on one query, [q, n, b]."""
        exact = margin.astype(np.float32)  # results are kept in less
        whole = (sides[0].of_all, sides[1].of_all)
        ways: dict[str, Callable[[], NDArray[Any]]] = {
            "online": lambda: attacks.online(exact, *sides),
            "offline": lambda: attacks.offline(exact, sides[1]),
            "rmia": lambda: attacks.against_mean(margin, on, off),
            "threshold": lambda: exact,
            BY_ALL: lambda: attacks.online(exact, *whole),
        }
        known, of_all = attackable(sides), attackable(whole)
        return {
            name: np.where(of_all if name == BY_ALL else known, ways[name](), np.nan) for name in self.kept
        }

    def _arranged(self, chunk: slice) -> tuple[Mask, Mask]:
        """Members with each example, and those without, [q, n, b]."""
        inside, there = self.blocks.arrange(self.known.included[:, chunk]), self.blocks.there[:, None]
        return inside & there, ~inside & there

    def _queries(self, chunk: slice) -> list[NDArray[np.float16]]:
        """Margins of each query, [q, n, b]."""
        return [self.blocks.arrange(query) for query in self.known.queries(chunk)]
