"""Proxies at several numbers of networks, each repeated with other networks, and judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.leaderboard import Figure, Judged, Truth, absolute_error, judge
from memreg.estimators.proxies import NEEDS
from memreg.estimators.traces import Traces
from memreg.registry import StoredCell
from memreg.registry.stored_cell import Part
from memreg.scoring.designed import DESIGNED, from_design
from memreg.scoring.proxies import ESTIMATES, from_members, from_traces
from memreg.scoring.several_r import EXTRAPOLATION, carried, shares
from memreg.user_code import is_code

P = TypeVar("P")
REPETITIONS = 10
"""Of a proxy, each from other networks, as far as there are so many."""


@dataclass(frozen=True, eq=False)
class Entrant:
    """A proxy at some number of networks."""

    proxy: str
    networks: int
    cost: float
    """In trainings of a network on everything."""
    values: Floats
    """Of the targets, [repetitions, t]."""
    judged: Judged
    plain: Figure | None
    """The error as it is, of proxies that are scores themselves."""


@dataclass
class Entrants:
    """Those that are judged against one truth."""

    numbers: Sequence[int]
    """Of networks."""
    targets: NDArray[np.int64]
    truth: Truth
    entrants: list[Entrant] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """What could not be judged, and why."""

    def by_traces(self, names: Iterable[str], traces: Traces, observers: Sequence[str]) -> None:
        """Judge proxies that are made of traces. observers: those that the user's proxies are charged for."""
        for name in names:
            own = observers if is_code(name) else NEEDS.get(name, "").split()
            cost = 1 + observed(traces, ["fit", *own])
            of = _of_part(traces) if is_code(name) else _of_each(traces)
            for k in self.numbers:
                if k <= len(traces):
                    parts = [range(first, first + k) for first in _starts(len(traces), k, 1)]
                    self._enter(name, k, cost * k, parts, of)

    def by_members(self, names: Iterable[str], cell: StoredCell) -> None:
        """Judge proxies that are made of members which leave examples out, whole blocks of them."""
        design, stored = cell.cell.design, cell.members("member").member
        block = max(1, int(np.count_nonzero([design.block(int(m)) == 0 for m in stored])))
        for name in names:
            for k in self.numbers:
                if k % block == 0 and k <= len(stored):
                    starts = _starts(len(stored), k, block)
                    parts = [Part(cell, stored[first : first + k].tolist()) for first in starts]
                    self._enter(name, k, _share(cell) * k, parts, from_members)

    def by_several_r(self, cells: Sequence[StoredCell]) -> None:
        """Judge scores carried to n-1. cells: of members that leave examples out, one for each r."""
        stored = [cell.members("member").member for cell in cells]
        for k, counts in ((k, shares(k)) for k in self.numbers):
            if counts is None:
                continue
            own = [
                [m[first : first + c].tolist() for first in _starts(len(m), c, 1)]
                for m, c in zip(stored, counts, strict=True)
            ]
            parts = [
                [Part(*both) for both in zip(cells, each, strict=True)] for each in zip(*own, strict=False)
            ]
            cost = sum(c * _share(cell) for cell, c in zip(cells, counts, strict=True))
            self._enter(EXTRAPOLATION, k, cost, parts, lambda _, part: carried(part))

    def by_design(self, name: str, k: int, cost: float, cell: StoredCell, pilot: StoredCell) -> None:
        """Judge scores by a design that a pilot has laid out, of k networks in all."""
        self._enter(name, k, cost, [cell], lambda name, cell: from_design(name, cell, pilot))

    def _enter(
        self, name: str, k: int, cost: float, parts: Sequence[P], of: Callable[[str, P], Floats]
    ) -> None:
        try:
            values = np.stack([of(name, part)[self.targets] for part in parts])
        except MemregError as error:
            if is_code(name):
                raise
            self.skipped.append(f"{name} at {k} networks ({error})")
            return
        plain = absolute_error(values, self.truth) if name in (*ESTIMATES, EXTRAPOLATION, *DESIGNED) else None
        self.entrants.append(Entrant(name, k, cost, values, judge(values, self.truth), plain))


def _of_part(traces: Traces) -> Callable[[str, range], Floats]:
    return lambda name, rows: from_traces(name, traces.part(slice(rows.start, rows.stop)))


def _of_each(traces: Traces) -> Callable[[str, range], Floats]:
    """As `_of_part`, of a proxy that is the mean over its members' own: each member's is computed once."""
    part = _of_part(traces)
    own = cache(lambda name, m: part(name, range(m, m + 1)))

    def of(name: str, rows: range) -> Floats:
        each = np.stack([own(name, m) for m in rows])
        return traces.part(slice(rows.start, rows.stop)).mean(each)

    return of


def _starts(members: int, k: int, block: int) -> list[int]:
    """First members of repetitions that share none, each of k members from the start of a block on."""
    step = -(-k // block) * block
    return list(range(0, members - k + 1, step))[:REPETITIONS]


def _share(cell: StoredCell) -> float:
    """Of the examples, that a member sees: the cost of its training, in those of a network on everything."""
    return cell.cell.design.size(cell.n_train) / cell.n_train


def observed(traces: Traces, observers: Iterable[str]) -> float:
    """What these observers cost one network, in trainings of one."""
    return float(sum(traces.costs[name].mean() for name in observers))
