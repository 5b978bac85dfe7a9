"""`memreg leave_one_out`: Equation 1 to the letter for some targets (section 3.2).

Two cells are trained: members without targets, and members that leave out no target.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from memreg.cell import Cell
from memreg.design import All, LeaveGroupOut, LeaveOneOut, LeaveOut
from memreg.errors import MemregError
from memreg.estimators.leave_one_out import missing
from memreg.estimators.statistics import HEADLINE
from memreg.estimators.threshold import reaches
from memreg.grid import Grid, plan_cell
from memreg.registry import Registry
from memreg.registry.tables import scores_name
from memreg.requests.leave_one_out import Request
from memreg.scoring.leave_one_out import first_half_scores, leave_out_design, truth_counts, truth_scores
from memreg.scoring.neighbours import neighbours_of
from memreg.scoring.targets import choose, needs_scores
from memreg.show.notes import answered
from memreg.studies.progress import Progress
from memreg.studies.resolved import Resolved, resolve, resolve_like
from memreg.studies.study import Outcome, Study, Where, open_study

FEWEST = 20
"""Members without a target from which the share of targets above a threshold is more than noise: the standard
error of a score is then 0.11 at most."""


@dataclass(frozen=True)
class Truth:
    """What is answered."""

    scores: pd.DataFrame
    """The targets' rows of scores-leave_one_out.parquet."""
    cells: Sequence[str]
    """The leave-out cell, and the cell of members that leave out no target."""
    members: int
    """That leave out targets, all together."""
    even: int
    """What they would be if every target had as many as the one that needed most."""

    def in_words(self) -> str:
        s = self.scores
        half = (s.high - s.low) / 2
        numbers = [
            (f"{len(s)}", "targets: examples that networks are trained without"),
            (f"{s.score.mean():.3f}", "mean score of the targets"),
            (f"{half.median():.2f}", "half the width of a score's 95 % interval, in the median"),
            (f"{self.members:,}", "networks trained without targets"),
        ]
        return answered(self.in_short(), numbers)

    def in_short(self) -> str:
        s = self.scores
        saved = f" instead of {self.even:,} with equally many for each" if self.even > self.members else ""
        few = int(s.excluded_count.min())
        share = (
            f"{reaches(s.score, HEADLINE).mean():.0%} score {HEADLINE} or more"
            if few >= FEWEST
            else f"the share that score {HEADLINE} or more takes {FEWEST} members without each, and has {few}"
        )
        return (
            f"Leave-one-out for {len(s)} targets from {self.members:,} members without them{saved}, and "
            f"{s.included_count.max():,} on everything: mean score {s.score.mean():.3f}, "
            f"{share}; half the width of the 95 % intervals: "
            f"median {(s.high - s.low).median() / 2:.3f}, largest {(s.high - s.low).max() / 2:.3f}. "
            f"Cell {self.cells[0][:12]}."
        )

    def metrics(self) -> Mapping[str, float]:
        return {}

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {}

    def figures(self) -> Mapping[str, Figure]:
        return {}


@dataclass(frozen=True)
class Schedule:
    """What is going to be trained."""

    resolved: Sequence[Resolved]
    """The undivided cell, whose members leave out no target, and the leave-out cell."""
    design: LeaveOut
    chosen: str
    """How the targets were chosen."""


def run(request: Request, recipe: Mapping[str, Any], where: Where, progress: Progress) -> Outcome[Truth]:
    """Train what is missing and log scores-leave_one_out.parquet to the leave-out cell's run.

    recipe: fields of it, where the request names no stored cell. Raises `MemregError` before anything is
    written if the input is at fault.
    """
    scheduled = schedule(request, recipe, where)
    whole, without = (item.cell for item in scheduled.resolved)
    grid = Grid("leave_one_out", "Members without their targets, and members on everything.", ())
    with open_study(grid, scheduled.resolved, request.study, where, progress) as opened:
        opened.train()
        if request.halfwidth is not None:
            _narrow(opened, whole, without, request.halfwidth)
        stored, writer = opened.registry.cell(without.hash), opened.writer(without)
        scores = truth_scores(stored)
        writer.artifacts.put(scores_name("leave_one_out"), scores.to_parquet)
        known = stored.tags.get("memreg.targets", scheduled.chosen).split("; ")
        writer.log(tags={"memreg.targets": "; ".join(dict.fromkeys([*known, scheduled.chosen]))})
        rows = scores.iloc[list(scheduled.design.targets)]
        even = int(rows.excluded_count.max()) * scheduled.design.round
        truth = Truth(rows, (without.hash, whole.hash), len(writer.members), even)
        opened.run.log(tags={"memreg.targets": scheduled.chosen})
        return opened.conclude(opened.table(), truth)


def schedule(request: Request, recipe: Mapping[str, Any], where: Where) -> Schedule:
    """Which targets are left out of which members. The registry is asked only where it is named: there may be
    none yet."""
    data_dir = where.data_dir
    source, scores, named = None, None, request.dataset
    if "/" not in request.cell:
        if recipe:
            raise MemregError(f"{next(iter(recipe))} is the cell's own: leave it out, or name dataset/model")
        source = Registry(where.tracking_uri).cell(request.cell)
        (like,) = resolve_like(source.cell, [(All(), 1)], data_dir, named, request.code)
        if needs_scores(request.targets):
            scores = first_half_scores(source)
    else:
        if needs_scores(request.targets):
            raise MemregError(f"targets={request.targets}: scores are needed to choose by: name a cell")
        if named:
            raise MemregError("dataset is for a stored cell: dataset/model names it already")
        named, _, model = request.cell.rpartition("/")
        fields = {"dataset": named, "model": model, "members": 1, **recipe}
        (like,) = resolve([plan_cell(fields, "leave_one_out")], data_dir)
    targets = choose(request.targets, like.dataset.n_train, scores, request.design_seed)
    design = _design(request, targets, where)
    wanted = [(design.everything, request.everything), (design, request.members * design.round)]
    by = f" by the first half of {source.hash[:12]}" if source and scores is not None else ""
    code = ",".join(name for name, _ in like.cell.recipe_code)  # the user has named it by now
    resolved = resolve_like(like.cell, wanted, data_dir, named, code)
    return Schedule(resolved, design, request.targets + by)


def _design(request: Request, targets: tuple[int, ...], where: Where) -> LeaveOut:
    fixed: dict[str, Any] = {"seed": request.design_seed, "targets": targets, "r": request.r}
    named = request.neighbours
    if not named and (request.group_size > 1 or request.r < 1):
        if "/" in request.cell:
            raise MemregError(
                "group_size above 1 keeps neighbours apart, r below 1 keeps them in: say by "
                "neighbours=CELL or FILE.json who they are"
            )
        named = request.cell
    groups = neighbours_of(named, where.tracking_uri) if named else ()
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


def _narrow(opened: Study, whole: Cell, without: Cell, halfwidth: float) -> None:
    """Train on until every target's interval is narrow enough.

    What is decided depends on the members asked for so far alone: after a crash it is decided again alike.
    """
    design = leave_out_design(without)
    while True:
        wanted = {cell.hash: opened.wanted(cell) for cell in (whole, without)}
        counts = truth_counts(opened.registry.cell(without.hash), wanted)
        more, each = missing(counts.each(lambda a: a[list(design.targets)]), halfwidth)
        if not more and not each.any():
            return
        known = len(wanted[whole.hash])
        opened.grow(whole, range(known, known + more))
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
