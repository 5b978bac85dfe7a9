"""Leave-one-out as a study of two cells: members without targets, and members trained on everything."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memreg.cell import Cell
from memreg.design import LeaveGroupOut, LeaveOneOut, LeaveOut
from memreg.errors import MemregError
from memreg.estimators.leave_one_out import missing
from memreg.grid import Grid, plan_cell
from memreg.registry import Registry
from memreg.registry.reader import scores_name
from memreg.scoring.leave_one_out import first_half_scores, truth_counts, truth_scores
from memreg.scoring.neighbours import neighbours_of
from memreg.scoring.targets import choose, needs_scores
from memreg.show.terminal import Reporter
from memreg.studies.resolved import Resolved, resolve, resolve_like
from memreg.studies.study import Study, Where, open_study


@dataclass(frozen=True)
class Request:
    """What is asked of `-e leave_one_out`."""

    cell: str
    """A stored cell, whose data set and recipe are used; or `dataset/model`, with `recipe`."""
    targets: str
    """As `memreg.scoring.targets.choose` reads it."""
    members: int = 100
    """Without each target."""
    everything: int = 400
    """On everything."""
    group_size: int = 1
    """Targets left out together."""
    neighbours: str | None = None
    """Where the groups of neighbours are from: a cell, or a JSON file; by default `cell`."""
    halfwidth: float | None = None
    """Train until no target's interval is wider than twice this."""
    r: float = 1.0
    """Below 1: all inside one fixed subset of this share."""
    seed: int = 0
    recipe: tuple[tuple[str, Any], ...] = ()
    dataset: str | None = None
    """That of a stored cell once more, where it is code of the user's."""


@dataclass(frozen=True)
class Truth:
    """What `-e leave_one_out` answers."""

    run_id: str
    experiment_id: str
    cells: pd.DataFrame
    scores: pd.DataFrame
    """The targets' rows of scores-leave_one_out.parquet."""
    cell: str
    members: int
    """That leave out targets, all together."""
    even: int
    """What they would be if every target had as many as the one that needed most."""

    def in_words(self) -> str:
        s = self.scores
        saved = f" instead of {self.even:,} with equally many for each" if self.even > self.members else ""
        return (
            f"Leave-one-out for {len(s)} targets from {self.members:,} members without them{saved}, and "
            f"{s.included_count.max():,} on everything: mean score {s.score.mean():.3f}, "
            f"{(s.score >= 0.25).mean():.0%} score 0.25 or more; half the width of the 95 % intervals: "
            f"median {(s.high - s.low).median() / 2:.3f}, largest {(s.high - s.low).max() / 2:.3f}. "
            f"Cell {self.cell[:12]}."
        )


def run_leave_one_out(
    request: Request,
    study: str,
    where: Where,
    reporter: Reporter,
) -> Truth:
    """Train what is missing and log scores-leave_one_out.parquet to the leave-out cell's run.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    both, design, chosen = plan(request, Registry(where.tracking_uri), where.data_dir)
    everything, without = (item.cell for item in both)
    grid = Grid("leave_one_out", "Members without their targets, and members on everything.", ())
    with open_study(grid, both, study, where, reporter) as opened:
        opened.train()
        if request.halfwidth is not None:
            _narrow(opened, everything, without, design, request.halfwidth)
        table = opened.table()
        opened.run.artifacts.put("cells.parquet", table.to_parquet)
        writer = opened.writer(without)
        scores = truth_scores(opened.registry, without.hash)
        writer.artifacts.put(scores_name("leave_one_out"), scores.to_parquet)
        known = opened.registry.cell_run(without.hash).data.tags.get("memreg.targets", chosen).split("; ")
        writer.log(tags={"memreg.targets": "; ".join(dict.fromkeys([*known, chosen]))})
        rows = scores.iloc[list(design.targets)]
        truth = Truth(
            opened.run.run_id,
            opened.run.experiment_id,
            table,
            rows,
            without.hash,
            len(writer.members),
            int(rows.excluded_count.max()) * design.round,
        )
        opened.run.log(note=truth.in_words(), tags={"memreg.targets": chosen})
    return truth


def plan(
    request: Request, registry: Registry, data_dir: Path | None = None
) -> tuple[Sequence[Resolved], LeaveOut, str]:
    """The cell on everything and the leave-out cell, the latter's design, and how targets were chosen."""
    source, scores, named = None, None, request.dataset
    if "/" not in request.cell:
        if request.recipe:
            raise MemregError(
                f"{request.recipe[0][0]} is the cell's own: leave it out, or name dataset/model"
            )
        source = registry.cell(request.cell)
        (like,) = resolve_like(source, [(source.design, 1)], data_dir, named)
        if needs_scores(request.targets):
            scores = first_half_scores(registry, request.cell)
    else:
        if needs_scores(request.targets):
            raise MemregError(f"targets={request.targets}: scores are needed to choose by: name a cell")
        if named:
            raise MemregError("dataset is for a stored cell: dataset/model names it already")
        named, _, model = request.cell.rpartition("/")
        fields = {"dataset": named, "model": model, "members": 1, **dict(request.recipe)}
        (like,) = resolve([plan_cell(fields, "leave_one_out")], data_dir)
    targets = choose(request.targets, like.dataset.n_train, scores, request.seed)
    design = _design(request, targets, registry)
    wanted = [(design.everything, request.everything), (design, request.members * design.round)]
    by = f" by the first half of {source.hash[:12]}" if source and scores is not None else ""
    return resolve_like(like.cell, wanted, data_dir, named), design, request.targets + by


def _design(request: Request, targets: tuple[int, ...], registry: Registry) -> LeaveOut:
    fixed: dict[str, Any] = {"seed": request.seed, "targets": targets, "r": request.r}
    named = request.neighbours
    if not named and (request.group_size > 1 or request.r < 1):
        if "/" in request.cell:
            raise MemregError(
                "group_size above 1 keeps neighbours apart, r below 1 keeps them in: say by "
                "neighbours=CELL or FILE.json who they are"
            )
        named = request.cell
    groups = neighbours_of(named, registry) if named else ()
    groups = tuple(group for group in groups if set(targets).intersection(group))
    if request.r < 1:
        fixed["kept"] = tuple(sorted({i for group in groups for i in group}))
    if request.group_size == 1:
        return LeaveOneOut(**fixed)
    most = max((len(set(targets).intersection(group)) for group in groups), default=1)
    count = max(-(-len(targets) // request.group_size), most, 2)
    if count > len(targets):
        raise MemregError(f"{len(targets)} targets cannot be split into groups: leave out group_size")
    return LeaveGroupOut(**fixed, groups=count, neighbours=groups)


def _narrow(opened: Study, everything: Cell, without: Cell, design: LeaveOut, halfwidth: float) -> None:
    """Train on until every target's interval is narrow enough.

    What is decided depends on the members asked for so far alone: after a crash it is decided again alike.
    """
    while True:
        wanted = {cell.hash: opened.wanted(cell) for cell in (everything, without)}
        counts = truth_counts(opened.registry, without, wanted)
        more, each = missing(counts.each(lambda a: a[list(design.targets)]), halfwidth)
        if not more and not each.any():
            return
        known = len(wanted[everything.hash])
        opened.grow(everything, range(known, known + more))
        need = dict(zip(design.targets, each.tolist(), strict=True))
        opened.grow(without, _members(design, need, wanted[without.hash]))
        opened.train()


def _members(design: LeaveOut, need: dict[int, int], wanted: Collection[int]) -> list[int]:
    """The next members that leave out what is needed, in order of their index."""
    chosen: list[int] = []
    for member in itertools.count():
        if not any(count > 0 for count in need.values()):
            break
        left_out = design.left_out(member).tolist()
        if member not in wanted and any(need[target] > 0 for target in left_out):
            chosen.append(member)
            need |= {target: need[target] - 1 for target in left_out}
    return chosen
