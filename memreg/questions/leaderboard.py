"""`memreg leaderboard`: which cheap stand-ins for memorization scores are worth their networks.

Each is judged against leave-one-out scores of the same data set and recipe, by networks that the truth is not
made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.cell import Cell
from memreg.data.stored import images_of
from memreg.design import All, Design, Subsets
from memreg.errors import MemregError
from memreg.estimators.approximation import mean_interval
from memreg.estimators.leaderboard import MEMORIZED, Truth, against_best, calibrated, error_by_size
from memreg.estimators.leaderboard import Figure as Judgement
from memreg.grid import Grid
from memreg.observers import try_observers
from memreg.parameters import first_error
from memreg.registry import Registry, StoredCell
from memreg.registry.stored_cell import Part
from memreg.requests.leaderboard import Request
from memreg.scoring.designed import DESIGNED, laid_out, split
from memreg.scoring.entrants import Entrant, Entrants
from memreg.scoring.leave_one_out import leave_out_design
from memreg.scoring.proxies import chosen, needed, of_one_cell, of_traces
from memreg.scoring.several_r import BLOCK, EXTRAPOLATION, RS, shares
from memreg.scoring.truth import truth_of
from memreg.show import figures
from memreg.show.figures.pictures import Picture
from memreg.show.labelled import label_in_words
from memreg.show.notes import answered
from memreg.studies.progress import Progress
from memreg.studies.resolved import Resolved, resolve_like
from memreg.studies.study import Outcome, Study, Where, open_study
from memreg.tracing import Tracing

ENDS = ("", "_low", "_high", "_networks_low", "_networks_high")
SHOWN, BESIDE = 8, 4
"""Of the images on which a proxy and the truth disagree: proxies, and images of either kind."""


@dataclass(frozen=True, eq=False)
class Board:
    """What is answered."""

    loo: Cell
    cells: Sequence[str]
    """The leave-out cell, the cell on everything, and the cell whose members leave examples out."""
    targets: NDArray[np.int64]
    truth: Truth
    entrants: Sequence[Entrant]
    skipped: Sequence[str] = ()
    """What could not be judged, and why."""
    pictures: Figure | str = field(default="", repr=False)
    """What proxies and the truth disagree about, or why it is not shown."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per proxy and number of networks."""
        return pd.DataFrame([self._row(e) for e in self.entrants]).merge(self._differences)

    def metrics(self) -> Mapping[str, float]:
        most = {e.proxy: e for e in sorted(self.entrants, key=lambda e: e.networks)}
        spread = {"targets": len(self.targets), "ceiling": self.truth.ceiling, "floor": self.truth.floor}
        return {
            **spread,
            "constant_error": float(self.truth.constant.mean()),
            **{f"error/{self._plain(name)}": e.judged.error.value for name, e in most.items()},
            **{f"spearman/{self._plain(name)}": e.judged.spearman.value for name, e in most.items()},
        }

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        sizes = [
            error_by_size(e.judged.errors, self.truth).assign(proxy=e.proxy, networks=e.networks)
            for e in self.entrants
        ]
        return {
            "leaderboard.parquet": self.table,
            "leaderboard-by-size.parquet": pd.concat(sizes, ignore_index=True),
        }

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.loo.recipe.model} on {self.loo.dataset}, {len(self.targets)} targets"
        shown = {"disagreement": self.pictures} if isinstance(self.pictures, Figure) else {}
        return {"leaderboard": figures.leaderboard(self.table, title), **shown}

    def in_short(self) -> str:
        t, most = self.truth, max(e.networks for e in self.entrants)
        best = self._least(most)[0]
        count = f"{most:,} network{'s' if most > 1 else ''}"
        return (
            f"{best.proxy}, from {count}, comes closest to leave-one-out: it "
            f"errs by {best.judged.error.value:.3f} on average, where a perfect proxy would err by about "
            f"{t.floor:.3f} and no proxy at all by {t.constant.mean():.3f}.\n"
            f"Leave-one-out scores of {len(self.targets)} targets, {self.loo.recipe.model} on "
            f"{self.loo.dataset}. {self._best(most)}"
        )

    def in_words(self) -> str:
        t, most = self.truth, max(e.networks for e in self.entrants)
        best = self._least(most)[0]
        error = best.judged.error
        numbers = [
            (
                f"{error.value:.3f} [{error.low:.3f}, {error.high:.3f}]",
                f"mean error of {best.proxy}, the best",
            ),
            (f"{t.floor:.3f}", "about the error of a perfect proxy: the noise of the truth alone"),
            (f"{t.constant.mean():.3f}", "error without any proxy: the same score for all"),
            (f"{best.cost:,.0f}", "trainings are what the best costs"),
        ]
        return answered(self.in_short(), numbers, self._in_full())

    def _in_full(self) -> str:
        said = [
            "By noise alone a perfect proxy would have Spearman's rho "
            f"{_number(self.truth.ceiling)}. Errors are of values calibrated on other targets."
        ]
        said += [self._best(networks) for networks in dict.fromkeys(e.networks for e in self.entrants)]
        names = dict.fromkeys(e.proxy for e in self.entrants)
        useful = {e.proxy for e in self.entrants if self._gain(e)[1] > 0}
        if useless := [name for name in names if name not in useful]:
            said.append(f"Not shown to be better than no proxy at all: {', '.join(useless)}.")
        if self.skipped:
            said.append(f"Not judged: {'; '.join(self.skipped)}.")
        if isinstance(self.pictures, str) and self.pictures:
            said.append(f"The images are left out: {self.pictures}")
        return "\n\n".join(said)

    def _least(self, networks: int) -> list[Entrant]:
        """Those that were judged at so many networks, the one that errs least first."""
        own = [e for e in self.entrants if e.networks == networks]
        return sorted(own, key=lambda e: e.judged.error.value)

    def _best(self, networks: int) -> str:
        """Say which proxy errs least at so many networks, and which are not shown to be worse."""
        own = self._least(networks)
        behind = self._differences.query("p_holm < 0.05 and networks == @networks")["proxy"].tolist()
        like = [e.proxy for e in own[1:] if e.proxy not in behind]
        more = len(own) > 1
        best, error, rho = own[0], own[0].judged.error, own[0].judged.spearman
        return (
            f"{networks:,} network{'s' if networks > 1 else ''}: {best.proxy} errs by {error.value:.3f} "
            f"[{error.low:.3f}, {error.high:.3f}], rho {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], at a "
            f"cost of {best.cost:,.1f} trainings"
            + (f"; not shown to be worse: {', '.join(like)}" if like else "; all others are worse" * more)
            + "."
        )

    def _gain(self, e: Entrant) -> tuple[float, float, float]:
        """By how much a proxy errs less than none at all, with its interval over targets."""
        less = self.truth.constant - e.judged.errors
        return float(less.mean()), *mean_interval(less, self.truth.unit)

    def _row(self, e: Entrant) -> dict[str, object]:
        judged: dict[str, Judgement | None] = {
            "spearman": e.judged.spearman,
            "error": e.judged.error,
            "plain_error": e.plain,
        }
        for threshold in MEMORIZED:
            judged[f"average_precision/{threshold:.2f}"] = e.judged.average_precision[threshold]
            judged[f"recall/{threshold:.2f}"] = e.judged.recall[threshold]
        nothing = (float("nan"),) * len(ENDS)
        return {
            "proxy": e.proxy,
            "networks": e.networks,
            "repetitions": len(e.values),
            "cost": e.cost,
            **{
                f"{name}{end}": value
                for name, found in judged.items()
                for end, value in zip(ENDS, found or nothing, strict=True)
            },
            **dict(zip(("gain", "gain_low", "gain_high"), self._gain(e), strict=True)),
            "ceiling": self.truth.ceiling,
            "floor": self.truth.floor,
            "constant_error": float(self.truth.constant.mean()),
            "missing": e.judged.missing,
        }

    @cached_property
    def _differences(self) -> pd.DataFrame:
        """Against the best of each number of networks."""
        parts = []
        for networks in dict.fromkeys(e.networks for e in self.entrants):
            errors = {e.proxy: e.judged.errors for e in self.entrants if e.networks == networks}
            compared = against_best(errors, self.truth.unit).rename(
                columns={"low": "difference_low", "high": "difference_high"}
            )
            parts.append(compared.assign(networks=networks))
        return pd.concat(parts, ignore_index=True)

    @staticmethod
    def _plain(name: str) -> str:
        return name.replace(":", ".")


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
            _pictures(planned.loo, targets, truth, found.entrants, where),
        )
        return opened.conclude(opened.table(), board)


def _designs(
    planned: Schedule, request: Request, where: Where, opened: Study, found: Entrants, left_out: StoredCell
) -> list[StoredCell]:
    """Train and judge the designs that members of `left_out`, as pilots, lay out; their cells."""
    cells = []
    for name in (name for name in planned.names if name in DESIGNED):
        for k, parts in ((k, split(k)) for k in request.numbers):
            if parts is None:
                continue
            pilots, rest = parts
            try:
                design = laid_out(name, Part(left_out, range(pilots)), request.design_seed)
            except MemregError as error:
                found.skipped.append(f"{name} at {k} networks ({error})")
                continue
            (item,) = _resolved(planned.loo, design, rest, request, where)
            opened.add(item)
            opened.hold([opened.writer(item.cell).run_id])
            opened.train(item.cell)
            cells.append(opened.registry.cell(item.cell.hash))
            n = left_out.n_train
            cost = (pilots * left_out.cell.design.size(n) + rest * design.size(n)) / n
            found.by_design(name, k, cost, cells[-1])
    return cells


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
    return Schedule(loo, names, kept, whole, by_r)


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
        wanted[own] = [*wanted.get(own, []), *filter(split, request.numbers)]
    if EXTRAPOLATION in names:
        for counts in filter(None, map(shares, request.numbers)):
            for r, count in zip(RS, counts, strict=True):
                wanted[design(r)] = [*wanted.get(design(r), []), count]
    return {design: max(numbers) for design, numbers in wanted.items() if numbers}


def _pictures(
    loo: StoredCell, targets: NDArray[np.int64], truth: Truth, entrants: Sequence[Entrant], where: Where
) -> Figure | str:
    """Of the best proxies at their most networks, the targets that they are most wrong about, either way."""
    most = {e.proxy: e for e in sorted(entrants, key=lambda e: e.networks)}
    best = sorted(most.values(), key=lambda e: (e.judged.error.value, e.proxy))[:SHOWN]
    try:
        images = images_of(loo.cell, where.data_dir).train_images
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


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else "(halves of the truth do not agree: unknown)"
