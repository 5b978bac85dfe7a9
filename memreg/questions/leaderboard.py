"""`memreg leaderboard`: which cheap stand-ins for memorization scores are worth their networks.

Each is judged against leave-one-out scores of the same data set and recipe, by networks that the truth is not
made of.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.data.stored import images_of
from memreg.design import All, Design, Subsets
from memreg.errors import MemregError, OutageError
from memreg.estimators.leaderboard import Truth, calibrated
from memreg.estimators.traces import Traces
from memreg.grid import Grid
from memreg.observers import try_observers
from memreg.parameters import first_error
from memreg.registry import Registry, StoredCell
from memreg.registry.stored_cell import Part
from memreg.requests.leaderboard import Request
from memreg.scoring.designed import DESIGNED, laid_out, split
from memreg.scoring.entrants import Entrant, Entrants, observed
from memreg.scoring.leave_one_out import leave_out_design
from memreg.scoring.neighbours import LOOKED_AT
from memreg.scoring.proxies import chosen, needed, of_one_cell, of_traces
from memreg.scoring.several_r import BLOCK, EXTRAPOLATION, RS, shares
from memreg.scoring.truth import truth_of
from memreg.show import figures
from memreg.show.figures.pictures import Picture
from memreg.show.labelled import label_in_words
from memreg.show.leaderboard import Board
from memreg.studies.progress import Progress
from memreg.studies.resolved import Resolved, resolve_like
from memreg.studies.study import Outcome, Study, Where, open_study
from memreg.tracing import Tracing

log = logging.getLogger(__name__)

SHOWN, BESIDE = 8, 4
"""Of the images on which a proxy and the truth disagree: proxies, and images of either kind."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """What is going to be trained."""

    loo: StoredCell
    names: Sequence[str]
    tracing: Tracing
    """Of the members on everything; of none where no proxy is made of traces."""
    everything: Sequence[Resolved]
    """The cell on everything, or nothing."""
    left_out: Mapping[float, Resolved]
    """By r, the cells whose members leave examples out."""
    looking: Tracing
    """Of members of that at the asked r, which are pilots of designs; of none where there are no pilots."""


def run(request: Request, tracing: Tracing, where: Where, progress: Progress) -> Outcome[Board]:
    """Train what is missing of traces and of members, and judge every proxy.

    tracing: at most so many members on everything, and what looks at them beside what the proxies need.
    Raises `MemregError` before anything is written if the input is at fault.
    """
    planned = schedule(request, tracing, where)
    targets, truth = truth_of(planned.loo, range(planned.tracing.members))
    grid = Grid("leaderboard", "Traces of members on everything, and members that leave examples out.", ())
    items = [*planned.everything, *planned.left_out.values()]
    with open_study(grid, items, request.study, where, progress) as opened:
        for item in planned.everything:
            opened.trace(item.cell, planned.tracing)
        if planned.looking.members:
            opened.trace(planned.left_out[request.r].cell, planned.looking)
        opened.hold([planned.loo.run_id])
        opened.train()
        cells = [opened.registry.cell(item.cell.hash) for item in items]
        found = Entrants(request.numbers, targets, truth)
        for cell in cells[: len(planned.everything)]:
            traces = cell.traces(members=planned.tracing.members)
            asked = [name for name, _ in tracing.observers]
            found.by_traces(filter(of_traces, planned.names), traces, asked)
        by_r = dict(zip(planned.left_out, cells[len(planned.everything) :], strict=True))
        if own := by_r.get(request.r):
            found.by_members(filter(of_one_cell, planned.names), own)
            cells += _designs(planned, request, where, opened, found, own)
        if EXTRAPOLATION in planned.names and by_r.keys() >= set(RS):
            found.by_several_r([by_r[r] for r in RS])
        if not found.entrants:
            raise MemregError(f"no proxy can be judged at networks={request.networks}: {_why(found)}")
        board = Board(
            planned.loo.cell,
            [planned.loo.hash, *(cell.hash for cell in cells)],
            targets,
            truth,
            found.entrants,
            found.skipped,
            _pictures(planned.loo, targets, truth, found.entrants, request, where),
        )
        return opened.conclude(opened.table(), board)


def _designs(
    planned: Schedule, request: Request, where: Where, opened: Study, found: Entrants, left_out: StoredCell
) -> list[StoredCell]:
    """Train and judge the designs that members of `left_out`, as pilots, lay out; their cells."""
    cells, n = [], left_out.n_train
    looked = _looked(left_out, planned.looking)
    for name in (name for name in planned.names if name in DESIGNED):
        for k, parts in ((k, split(k)) for k in request.numbers):
            if parts is None:
                continue
            pilots, rest = parts
            pilot = Part(left_out, range(pilots))
            try:
                design = laid_out(name, pilot, request.design_seed)
            except MemregError as error:
                found.skipped.append(f"{name} at {k} networks ({error})")
                continue
            (item,) = _resolved(planned.loo, design, rest, request, where)
            opened.add(item)
            opened.grow(item.cell, range(rest))  # other numbers of pilots may have laid out the same
            opened.hold([opened.writer(item.cell).run_id])
            opened.train(item.cell)
            cells.append(opened.registry.cell(item.cell.hash))
            cost = ((pilots + looked) * left_out.cell.design.size(n) + rest * design.size(n)) / n
            found.by_design(name, k, cost, Part(cells[-1], range(rest)), pilot)
    return cells


def _looked(pilots: StoredCell, looking: Tracing) -> float:
    """What it costs to look at the features of pilots, in trainings of one of them."""
    if not looking.members:
        return 0.0
    traces = pilots.traces("correct", members=looking.members)
    return looking.members * observed(traces, ["fit", "features"])


def _why(found: Entrants) -> str:
    return "; ".join(found.skipped) or "scores take whole blocks of members"


def _resolved(
    loo: StoredCell, design: Design, members: int, request: Request, where: Where
) -> list[Resolved]:
    wanted = [(design, members)]
    return resolve_like(loo.cell, wanted, where.data_dir, request.dataset, request.code)


def schedule(request: Request, tracing: Tracing, where: Where) -> Schedule:
    """Which cells are needed, and what is traced."""
    names = chosen(request.proxies)
    loo = Registry(where.tracking_uri).cell(request.loo_cell)
    everything = leave_out_design(loo.cell).everything
    if not isinstance(everything, All):
        raise MemregError(f"{loo} is inside a fixed subset: the truth is of leave-one-out from all examples")
    traced = max((k for k in request.numbers if k <= tracing.members), default=0)
    by_traces = any(map(of_traces, names))
    if by_traces and not traced:
        raise MemregError(f"networks={request.networks}: none of them is trace={tracing.members} or less")
    kept = tracing.of(traced if by_traces else 0, needed(names))
    by_r = {
        design.r: item
        for design, members in _leaving_out(names, request).items()
        for item in _resolved(loo, design, members, request, where)
    }
    if not by_traces and not by_r:
        raise MemregError(
            f"networks={request.networks}: none of them is a number of members that these proxies are made "
            f"of: whole blocks at r = {request.r}, or for {EXTRAPOLATION} a multiple of {BLOCK}, "
            f"{BLOCK * len(RS)} at least"
        )
    for item in by_r.values():
        if item.cell.hash[:12] in loo.tags.get("memreg.targets", ""):
            raise MemregError(
                f"the targets of {loo} were chosen by members of cell {item.cell.hash[:12]}, of which scores "
                "would be made that then are too high for them: say another design_seed"
            )
    whole = _resolved(loo, everything, traced, request, where) if by_traces else []
    for item in whole:
        try_observers(kept, item.cell.recipe.model, item.dataset)
    looking = Tracing(0)
    if any(name in DESIGNED for name in names) and any(map(split, request.numbers)):
        looking = looking_at(by_r[request.r], loo.registry)
    return Schedule(loo, names, kept, whole, by_r, looking)


def looking_at(pilots: Resolved, registry: Registry) -> Tracing:
    """How pilots trace their features: at the checkpoints at which they have traced anything, since others
    would take the place of those; else at the end alone. Of none where the model shows no features."""
    checkpoints = 1
    for trace in islice(_traces_of(pilots.cell.hash, registry), 1):
        checkpoints = len(trace.steps)
    looking = Tracing.by(LOOKED_AT, checkpoints, "features")
    try:
        try_observers(looking, pilots.cell.recipe.model, pilots.dataset)
    except MemregError as error:
        log.warning("designs keep neighbours apart that co-influence finds among pilots: %s", error)
        return Tracing(0)
    return looking


def _traces_of(cell: str, registry: Registry) -> Iterator[Traces]:
    """Those that are stored; none where the cell is not stored yet."""
    try:
        stored = registry.cell(cell)
    except OutageError:
        raise
    except MemregError:
        return iter(())
    return stored.each_trace("correct")


def _leaving_out(names: Sequence[str], request: Request) -> Mapping[Subsets, int]:
    """Of how many members that leave examples out the proxies are made, by their design."""

    def design(r: float) -> Subsets:
        try:
            return Subsets(r=r, seed=request.design_seed)
        except ValidationError as error:
            raise MemregError(f"leaderboard: {first_error(error)}") from error

    own = design(request.r)
    wanted = {own: [k for k in request.numbers if k % own.folds == 0]} if any(map(of_one_cell, names)) else {}
    if any(name in DESIGNED for name in names):
        pilots = [parts[0] for k in request.numbers if (parts := split(k))]
        wanted[own] = [*wanted.get(own, []), *pilots]
    if EXTRAPOLATION in names:
        for counts in filter(None, map(shares, request.numbers)):
            for r, count in zip(RS, counts, strict=True):
                wanted[design(r)] = [*wanted.get(design(r), []), count]
    return {design: max(numbers) for design, numbers in wanted.items() if numbers}


def _pictures(
    loo: StoredCell,
    targets: NDArray[np.int64],
    truth: Truth,
    entrants: Sequence[Entrant],
    request: Request,
    where: Where,
) -> Figure | str:
    """Of the best proxies at their most networks, the targets that they are most wrong about, either way."""
    most = {e.proxy: e for e in sorted(entrants, key=lambda e: e.networks)}
    best = sorted(most.values(), key=lambda e: (e.judged.error.value, e.proxy))[:SHOWN]
    try:
        images = images_of(loo.cell, where.data_dir, request.dataset).train_images
    except MemregError as error:
        return str(error)

    def picture(i: int, said: float) -> Picture:
        words = f"{label_in_words(loo, int(targets[i]))}\n{truth.truth[i]:.2f} ({said:.2f})"
        return np.asarray(images[targets[i]]), words

    rows = []
    for e in best:
        said = np.mean([calibrated(own, truth.truth, truth.unit) for own in e.values], axis=0)
        order = np.argsort(truth.truth - said, kind="stable")
        sides = [[picture(i, said[i]) for i in side] for side in (order[:BESIDE], order[::-1][:BESIDE])]
        rows.append((f"{e.proxy}\n{e.networks:,} networks", sides))
    return figures.disagreement(rows)
