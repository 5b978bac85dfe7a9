"""The main path: grid -> cells -> members -> registry -> scores -> correlation."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from memreg import interruption
from memreg.cell import Cell
from memreg.data import Dataset
from memreg.engines import Engine, Resources
from memreg.engines.job import resolve_device
from memreg.errors import TakenError
from memreg.grid import Grid, check_name
from memreg.precision import slow_bf16
from memreg.prediction import diverged
from memreg.questions.correlation import Correlation
from memreg.questions.subpopulations import same_data
from memreg.registry import CellWriter, Registry, RunWriter, Store
from memreg.registry.leases import Leases
from memreg.registry.shards import read_shards
from memreg.registry.store import ended
from memreg.show import notes
from memreg.show.report import write_report
from memreg.show.terminal import Reporter
from memreg.studies.cell_training import CellTraining, give_back, prepare, train
from memreg.studies.record import conclude
from memreg.studies.resolved import Resolved, resolve

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Where:
    """On what members are trained, from where, and into which registry."""

    engine: Engine
    resources: Resources
    data_dir: Path | None = None
    """None for MEMREG_DATA_DIR's, else ./data."""
    tracking_uri: str | None = None
    """None for MLflow's own choice."""
    wait: float = 0.0
    """Seconds to wait for a cell that another driver is at work on."""


@dataclass(frozen=True)
class Outcome:
    """What a study answers."""

    run_id: str
    experiment_id: str
    cells: pd.DataFrame
    """As cells.parquet."""
    correlation: Correlation | None
    """None where fewer than 3 cells have scores."""


@dataclass
class Study:
    """An open study: its run, and its cells, which can be trained and then asked for more members."""

    name: str
    run: RunWriter
    registry: Registry
    _store: Store
    _leases: Leases
    _where: Where
    _reporter: Reporter
    _cells: list[CellTraining] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)

    def add(self, *items: Resolved) -> None:
        """Find or create the runs of cells; stored members are kept, whichever study trained them.

        Raises `TakenError` if others are at work on one of them and there is no time to wait.
        """
        known = [c.item.cell for c in self._cells]
        new = [
            CellTraining(item, set(range(item.members)), self._leases)
            for item in items
            if item.cell not in known
        ]
        if (busy := self._claim(new)) and not self._where.wait:
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
                prepare(c, self._reporter)
            if leased or not said:
                self._reporter.start([(c.item.cell, len(c.missing), len(c.wanted)) for c in chosen])
            if leased:
                self._warn_of_bf16(leased)
                train(leased, self._where.engine, self._where.resources, self._reporter)
                idle = time.monotonic()
            if not busy:
                return
            if time.monotonic() - idle >= self._where.wait:
                raise _others_at_work(busy)
            for text in set(busy) - said:
                self._reporter.warn(f"waiting: {text}")
            said.update(busy)
            time.sleep(POLL_SECONDS)
            interruption.check()

    def _warn_of_bf16(self, cells: Sequence[CellTraining]) -> None:
        """Once in a study, before its first member that it concerns."""
        resources = self._where.resources
        device = "cuda" if resources.gpus else resolve_device(resources.device)
        text = slow_bf16([c.item.cell.recipe for c in cells if c.missing], device)
        if text and text not in self._warned:
            self._warned.add(text)
            self._reporter.warn(text)

    def _claim(self, cells: Sequence[CellTraining]) -> list[str]:
        """Find or create the runs of cells, and take those that need work; who is at work on the others."""
        claims = self._store.claim(
            [(c.item.cell, c.wanted) for c in cells], self.run, self.name, self._leases
        )
        busy = []
        for c, (writer, who) in zip(cells, claims, strict=True):
            c.writer = writer
            if not c.leased and not c.done:
                recipe = c.item.cell.recipe
                busy.append(f"{who or 'another'} is at work on {recipe.model} on {c.item.cell.dataset}")
        return busy

    def wanted(self, cell: Cell) -> frozenset[int]:
        """Members that have been asked for: a cell may have more."""
        return frozenset(self._find(cell).wanted)

    def grow(self, cell: Cell, members: Iterable[int]) -> None:
        """Ask for these members too; `train` trains them."""
        self._find(cell).wanted.update(members)

    def writer(self, cell: Cell) -> CellWriter:
        """Of the run of one of the study's cells."""
        return self._find(cell).writer

    def accuracies(self, cell: Cell) -> dict[int, float]:
        """Test accuracy by member, of stored members that did not diverge."""
        found = self._find(cell)
        test = found.item.dataset.test_labels
        result: dict[int, float] = {}
        artifacts, fingerprint = found.writer.artifacts, cell.dataset_fingerprint
        for shard in read_shards(artifacts, cell.hash, fingerprint, ("member", "predicted")):
            kept = ~diverged(shard["predicted"])
            shares = (shard["predicted"][kept, -len(test) :] == test).mean(1)
            result |= dict(zip(shard["member"][kept].tolist(), shares.tolist(), strict=True))
        return result

    def dataset(self, cell: Cell) -> Dataset:
        """Of a cell in the registry, for its images."""
        own = (c.item.dataset for c in self._cells if c.item.dataset.fingerprint == cell.dataset_fingerprint)
        return next(own, None) or same_data(cell, self._where.data_dir)

    def _find(self, cell: Cell) -> CellTraining:
        return next(c for c in self._cells if c.item.cell == cell)

    def table(self) -> pd.DataFrame:
        """As cells.parquet."""
        return self.registry.rows(c.writer.run_id for c in self._cells)


def run_study(
    grid: Grid,
    study: str,
    where: Where,
    reporter: Reporter,
) -> Outcome:
    """Train what is missing of a grid, score every cell, correlate, and log it all.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    check_name(study, "study")
    resolved = resolve(grid.cells, where.data_dir)
    with open_study(grid, resolved, study, where, reporter) as opened:
        opened.train()
        run, table = opened.run, opened.table()
        correlation = conclude(run, opened.registry, table)
        run.log(note=notes.study(study, grid, correlation))
    return Outcome(run.run_id, run.experiment_id, table, correlation)


@contextmanager
def open_study(
    grid: Grid,
    resolved: Sequence[Resolved],
    study: str,
    where: Where,
    reporter: Reporter,
) -> Iterator[Study]:
    """A study's run and its cells' runs, found or created.

    Raises `TakenError`, with nothing trained, if others are at work on one and there is no time to wait.
    """
    store = Store(where.tracking_uri)
    run = store.open_run("study", study, {"memreg.study": study, "memreg.grid": grid.name})
    with ended(run), Leases(store.client, run.run_id) as leases:
        opened = Study(study, run, Registry(where.tracking_uri), store, leases, where, reporter)
        opened.add(*resolved)
        store.save_view(study, run)
        run.log(note=notes.study(study, grid))
        yield opened
        write_report(run, opened.registry, opened.dataset)


def _others_at_work(busy: Sequence[str]) -> TakenError:
    more = f", and {len(busy) - 1} more cells are taken" if len(busy) > 1 else ""
    return TakenError(f"{busy[0]}{more}: wait=SECONDS waits for that, or start again when it is done")
