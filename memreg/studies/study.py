"""A study: cells under one run, trained as far as they are not stored, and what was answered from them.

A study that was killed goes on by being asked for again: `CellWriter.members` are those that are stored, and
`CellTraining.missing` those that are left.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd

from memreg import interruption
from memreg.cell import Cell
from memreg.data import Dataset
from memreg.data.stored import images_of
from memreg.engines import Engine
from memreg.errors import InterruptedStudy, TakenError
from memreg.grid import Grid
from memreg.observers import try_observers
from memreg.precision import slow_bf16
from memreg.registry import CellWriter, Registry, RunWriter, Store
from memreg.registry.leases import Leases
from memreg.registry.shards import read_shards
from memreg.registry.stored_cell import COUNTED
from memreg.registry.view import study_links
from memreg.show import notes
from memreg.show.report import write_report
from memreg.studies.answer import Answer, log
from memreg.studies.calibration import hours, in_words
from memreg.studies.cell_training import CellTraining, Item, give_back, prepare, train
from memreg.studies.pages import write_pages
from memreg.studies.progress import Progress
from memreg.tracing import Tracing
from memreg.wording import counted

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Where:
    """What gives members, from what data, and into which registry."""

    engine: Engine
    data_dir: Path | None = None
    """None for MEMREG_DATA_DIR's, else ./data."""
    tracking_uri: str | None = None
    """None for MLflow's own choice."""
    wait: float = 0.0
    """Seconds to wait for a cell that another driver is at work on."""
    tracing: Tracing | None = None
    """What members keep of their training, of every cell that is asked for."""


A = TypeVar("A", bound=Answer | None)
A_co = TypeVar("A_co", bound=Answer | None, covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[A_co]):
    """What has become of a study."""

    study: str
    """Its name."""
    run_id: str
    experiment_id: str
    cells: pd.DataFrame
    """As cells.parquet."""
    answer: A_co
    said: str
    """What it answers, or why it does not, in short: a paragraph a line."""
    see: Mapping[str, str]
    """Where a person sees its report, its first figure if any, and its cells: paths, and links to the UI."""


@dataclass
class Study:
    """An open study: its run, and its cells, which can be trained and then asked for more members."""

    name: str
    grid: Grid
    run: RunWriter
    driver: RunWriter
    """The run under whose name this driver works: the study's own, or one beside it."""
    registry: Registry
    _store: Store
    _leases: Leases
    _where: Where
    _progress: Progress
    _cells: list[CellTraining] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)

    def add(self, *items: Item) -> None:
        """Find or create the runs of cells; stored members are kept, whichever study trained them.

        Raises `TakenError` if others are at work on one of them and there is no time to wait.
        """
        known = [c.item.cell for c in self._cells]
        missing = [item for item in items if item.cell not in known]
        tracing = self._where.tracing
        asked = [(item.cell, set(item.wanted), tracing) for item in missing]
        claims = self._store.claim(asked, self.driver, self.name, self._leases)
        new = [
            CellTraining(item, set(item.wanted), self._leases, writer, tracing)
            for item, (writer, _) in zip(missing, claims, strict=True)
        ]
        if (busy := _busy(new, [who for _, who in claims])) and not self._where.wait:
            taken = _others_at_work(busy)
            give_back(new, taken)
            raise taken
        self._cells += new
        for c in new:
            self._store.adopt(c.writer, self.run, self.name)

    def adopt(self, run_id: str) -> RunWriter:
        """Hang the run of a cell that is not trained any more under this study."""
        writer = self._store.run(run_id)
        self._store.adopt(writer, self.run, self.name)
        return writer

    def train(self, *cells: Cell) -> None:
        """Train and store what is missing of these cells, by default of all, and score those that are then
        complete.

        What others are at work on comes last, so that no driver waits while another waits for it. Raises
        `TakenError` if there has been nothing else to do for `Where.wait` seconds.
        """
        chosen = [self._find(cell) for cell in cells] or self._cells
        said, idle = set[str](), time.monotonic()
        while True:
            busy = self._claim([c for c in chosen if not c.done and not c.leased])
            leased = [c for c in chosen if c.leased]
            for c in leased:
                prepare(c, self._progress)
            if leased or not said:
                self._progress.start([(c.item.cell, len(c.missing), len(c.wanted)) for c in chosen])
            if leased:
                self._warn_of_bf16(leased)
                train(leased, self._where.engine, self._progress)
                idle = time.monotonic()
            if not busy:
                return
            if time.monotonic() - idle >= self._where.wait:
                raise _others_at_work(busy)
            for text in set(busy) - said:
                self._progress.say(f"waiting: {text}")
            said.update(busy)
            time.sleep(POLL_SECONDS)
            interruption.check()

    def _warn_of_bf16(self, cells: Sequence[CellTraining]) -> None:
        """Once in a study, before its first member that it concerns."""
        recipes = [c.item.cell.recipe for c in cells if c.missing]
        text = slow_bf16(recipes, self._where.engine.device)
        if text and text not in self._warned:
            self._warned.add(text)
            self._progress.warn(text)

    def _claim(self, cells: Sequence[CellTraining]) -> list[str]:
        """Take the cells of the study that are free again; who is at work on the others."""
        claims = self._store.claim(
            [(c.item.cell, c.wanted, c.tracing) for c in cells], self.driver, self.name, self._leases
        )
        for c, (writer, _) in zip(cells, claims, strict=True):
            c.writer = writer
        return _busy(cells, [who for _, who in claims])

    def wanted(self, cell: Cell) -> frozenset[int]:
        """Members that have been asked for: a cell may have more."""
        return frozenset(self._find(cell).wanted)

    def grow(self, cell: Cell, members: Iterable[int]) -> None:
        """Ask for these members too; `train` trains them."""
        self._find(cell).wanted.update(members)

    def trace(self, cell: Cell, tracing: Tracing) -> None:
        """Ask that members of a cell keep a trace; `train` trains those anew that have none."""
        self._find(cell).tracing = tracing

    def writer(self, cell: Cell) -> CellWriter:
        """Give the writer of one of the study's cells."""
        return self._find(cell).writer

    def accuracies(self, cell: Cell) -> dict[int, float]:
        """Test accuracy by member, of stored members that did not diverge."""
        found = self._find(cell)
        labels, artifacts = found.item.labels, found.writer.artifacts
        result: dict[int, float] = {}
        for shard in read_shards(artifacts, cell.hash, cell.dataset_fingerprint, COUNTED):
            members = shard.kept()
            shares = members.correct(labels)[:, members.n_train :].mean(1)
            result |= dict(zip(members.member.tolist(), shares.tolist(), strict=True))
        return result

    def dataset(self, cell: Cell) -> Dataset:
        """Open the data set of a cell in the registry, for its images."""
        for c in self._cells:
            if c.item.dataset and c.item.dataset.fingerprint == cell.dataset_fingerprint:
                return c.item.dataset
        return images_of(cell, self._where.data_dir)

    def _find(self, cell: Cell) -> CellTraining:
        return next(c for c in self._cells if c.item.cell == cell)

    def hold(self, run_ids: Iterable[str]) -> None:
        """Make the cells of these runs the study's, as far as they are not."""
        held = self._store.held(self.name, self.run)
        listed = [] if held else self.registry.held(self.run.run_id)  # by an earlier version
        known = self._store.undeleted(listed)
        new = [run_id for run_id in dict.fromkeys([*known, *run_ids]) if run_id not in held]
        for position, run_id in enumerate(new, max(held.values(), default=-1) + 1):
            self._store.hold(run_id, self.run, self.name, position)

    def arrange(self, run_ids: Iterable[str]) -> None:
        """Hold the cells of these runs, in this order from the first place on."""
        held = self._store.held(self.name, self.run)
        for place, run_id in enumerate(run_ids):
            if held.get(run_id) != place:
                self._store.hold(run_id, self.run, self.name, place)

    def let_go(self, run_ids: Iterable[str]) -> None:
        """Take the cells of these runs out of the study; they stay in the registry."""
        gone = set(run_ids)
        for run_id in gone.intersection(self._store.held(self.name, self.run)):
            self._store.let_go(run_id, self.name)

    def say_plan(self) -> None:
        """Say how many networks of each design are going to be trained, and in about how long."""
        cells = [c for c in self._cells if c.missing]
        if not cells or not self._where.engine.device:
            return
        kinds = Counter[str]()
        for c in cells:
            kinds[c.item.cell.design.kind] += len(c.missing)
        each = ", ".join(f"{count:,} of design {kind}" for kind, count in kinds.items())
        text = f"to train: {counted(kinds.total(), 'network')}" + (f" ({each})" if len(kinds) > 1 else "")
        here = self._where.engine.here
        if here is not None and self._where.engine.device == "cpu":
            known = [(c.item.cell, c.item.dataset, len(c.missing)) for c in cells if c.item.dataset]
            took, whole = hours(known, here)
            about = "about" if whole else "more than"
            text += f", {about} {in_words(took)} in {here.processes} processes" if took else ""
        self._progress.say(text)

    def warn_of_few_steps(self) -> None:
        """A batch that is larger than what a member sees leaves less than a step to an epoch."""
        for c in self._cells:
            recipe, dataset = c.item.cell.recipe, c.item.dataset
            if dataset is None or (seen := c.item.cell.design.size(dataset.n_train)) >= recipe.batch_size:
                continue
            steps = math.ceil(recipe.epochs * seen / recipe.batch_size)
            self._progress.warn(
                f"batch_size={recipe.batch_size} is more than the {seen} examples that a member sees: its "
                f"{recipe.epochs} epochs are {steps} steps, in which it may learn little; say a smaller one, "
                f"as batch_size={max(2, seen // 16)}"
            )
            return

    def say_of_more(self) -> None:
        """Say which cells have more members than are asked for: a cell is scored from all that it has."""
        more = [c for c in self._cells if len(c.writer.members) > len(c.wanted)]
        if more:
            c, others = more[0], len(more) - 1
            stored, wanted = len(c.writer.members), len(c.wanted)
            also = f"; so are those of {counted(others, 'more cell')}" if others else ""
            self._progress.say(
                f"cell {c.item.cell.hash[:12]} has {counted(stored, 'member')}, and {wanted:,} "
                f"{'is' if wanted == 1 else 'are'} asked for: its scores are from all it has{also}"
            )

    def table(self) -> pd.DataFrame:
        """All cells that the study holds and that have been complete, as cells.parquet."""
        return self.registry.cells(self.run.run_id)

    def conclude(self, table: pd.DataFrame, answer: A) -> Outcome[A]:
        """Keep what the study has come to: its cells, what was answered from them, and its page.

        table: as cells.parquet. answer: None where the cells are too few for one.
        """
        self.run.artifacts.put("cells.parquet", table.to_parquet)
        if answer is None:
            self.run.withdraw(lambda key: key.startswith("pearson"))  # of cells that it held once
        figure = log(self.run, answer) if answer is not None else {}
        lost = notes.diverged(table)
        warned = [*filter(None, [lost]), *notes.warned(self._progress.warnings)]
        short = notes.cells_in_short(table) if answer is None else answer.in_short()
        words = notes.cells_in_words(table) if answer is None else answer.in_words()
        self.run.log(note=notes.study(self.name, self.grid, words, warned))
        write_report(self.run, self.registry, self.dataset)
        write_pages(self._store, self.registry.cells_by_run(table["run_id"]), self.dataset)
        cells = study_links(self.registry.tracking_uri, self.run.experiment_id, self.name)
        see = {"report": self.run.where("report.html"), **figure, **cells}
        said = f"{short}\n{lost}".strip()
        return Outcome(self.name, self.run.run_id, self.run.experiment_id, table, answer, said, see)


@contextmanager
def open_study(
    grid: Grid,
    items: Sequence[Item],
    study: str,
    where: Where,
    progress: Progress,
) -> Iterator[Study]:
    """A study's run and its cells' runs, found or created.

    Raises `TakenError`, with nothing trained, if others are at work on one and there is no time to wait.
    """
    if where.tracing is not None:
        for item in items:
            if item.dataset is not None:
                try_observers(where.tracing, item.cell.recipe.model, item.dataset)
    store, registry = Store(where.tracking_uri), Registry(where.tracking_uri)
    try:
        with store.open_study(study, {"memreg.grid": grid.name}) as (run, driver, leases):
            opened = Study(study, grid, run, driver, registry, store, leases, where, progress)
            opened.add(*items)
            opened.hold(opened.writer(item.cell).run_id for item in items)
            opened.say_of_more()
            opened.say_plan()
            opened.warn_of_few_steps()
            store.save_view(study, run)
            run.log(note=notes.study(study, grid))
            yield opened
    except KeyboardInterrupt as error:
        raise InterruptedStudy from error


def _busy(cells: Sequence[CellTraining], others: Sequence[str | None]) -> list[str]:
    """Who is at work on those of the cells that this driver has not got."""
    return [
        f"{who or 'another'} is at work on {c.item.cell.recipe.model} on {c.item.cell.dataset}"
        for c, who in zip(cells, others, strict=True)
        if not c.leased and not c.done
    ]


def _others_at_work(busy: Sequence[str]) -> TakenError:
    others = len(busy) - 1
    are = "is" if others == 1 else "are"
    more = f", and {counted(others, 'more cell')} {are} taken" if others else ""
    return TakenError(f"{busy[0]}{more}: wait=SECONDS waits for that, or start again when it is done")
