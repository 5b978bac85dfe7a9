"""The main path: grid -> cells -> members -> registry -> scores -> correlation."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from memreg import interruption, models, notes
from memreg.analyses.correlation import Correlation
from memreg.analyses.subpopulations import same_data
from memreg.cell import Cell
from memreg.data import Dataset, load, load_stored
from memreg.design import Design, Imported
from memreg.engines import Engine, Job, Resources
from memreg.errors import MemregError, TakenError
from memreg.grid import Grid, Planned, check_name
from memreg.prediction import Prediction, diverged
from memreg.record import SERIES, conclude, describe, finish
from memreg.registry import CellWriter, Registry, RunWriter, Store
from memreg.registry.leases import Leases
from memreg.registry.shards import read_shards
from memreg.registry.store import end_status, ended
from memreg.report import write_report
from memreg.terminal import Reporter

FLUSH_SECONDS = 15.0
FLUSH_MEMBERS = 100
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
class Resolved:
    """A planned cell with its data set opened and its model tried on it."""

    cell: Cell
    members: int
    parameters: int
    dataset: Dataset


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
class _Training:
    """A cell in training, with the members that finished but are not stored yet."""

    item: Resolved
    wanted: set[int]
    leases: Leases
    writer: CellWriter = field(init=False)
    pending: list[Prediction] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def missing(self) -> list[int]:
        return sorted(self.wanted - self.writer.members)

    @property
    def done(self) -> bool:
        return self.writer.done(self.wanted)

    @property
    def leased(self) -> bool:
        return self.writer.run_id in self.leases


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
    _cells: list[_Training] = field(default_factory=list)

    def add(self, *items: Resolved) -> None:
        """Find or create the runs of cells; stored members are kept, whichever study trained them.

        Raises `TakenError` if others are at work on one of them and there is no time to wait.
        """
        known = [c.item.cell for c in self._cells]
        new = [
            _Training(item, set(range(item.members)), self._leases)
            for item in items
            if item.cell not in known
        ]
        if (busy := self._claim(new)) and not self._where.wait:
            taken = _others_at_work(busy)
            _give_back(new, taken)
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
                _prepare(c, self._reporter)
            if leased or not said:
                self._reporter.start([(c.item.cell, len(c.missing), len(c.wanted)) for c in chosen])
            if leased:
                train(leased, self._where, self._reporter)
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

    def _claim(self, cells: Sequence[_Training]) -> list[str]:
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

    def _find(self, cell: Cell) -> _Training:
        return next(c for c in self._cells if c.item.cell == cell)

    def table(self) -> pd.DataFrame:
        """As cells.parquet."""
        return self.registry.rows(c.writer.run_id for c in self._cells)


def resolve(
    planned: Sequence[Planned],
    data_dir: Path | None = None,
    opened: Callable[[str, Path | None], Dataset] = load,
) -> list[Resolved]:
    """Open every data set and build every model once: what cannot be trained is refused here."""
    datasets: dict[str, Dataset] = {}
    parameters: dict[tuple[str, tuple[int, int, int], int], int] = {}
    resolved: dict[str, Resolved] = {}
    for plan in planned:
        if plan.dataset not in datasets:
            datasets[plan.dataset] = opened(plan.dataset, data_dir)
        dataset = datasets[plan.dataset]
        key = (plan.recipe.model, dataset.image_shape, dataset.classes)
        if key not in parameters:
            parameters[key] = models.parameters(models.build(*key))
        plan.design.check(dataset.n_train)
        cell = Cell(
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            recipe=plan.recipe,
            design=plan.design,
        )
        if cell.hash in resolved:
            raise MemregError(f"the same cell is listed twice: {cell.recipe.model} on {cell.dataset}")
        resolved[cell.hash] = Resolved(cell, plan.members, parameters[key], dataset)
    return list(resolved.values())


def resolve_like(
    source: Cell,
    designs: Sequence[tuple[Design, int]],
    data_dir: Path | None = None,
    named: str | None = None,
) -> list[Resolved]:
    """The cells of a stored cell's data set and recipe with other designs, and as many members of each.

    named: that data set, by the user, where it is code.
    """
    if isinstance(source.design, Imported):
        raise MemregError(
            f"cell {source.hash[:12]} was imported: how to train more of its networks is not known"
        )
    planned = [Planned(source.dataset, source.recipe, design, members) for design, members in designs]
    resolved = resolve(planned, data_dir, partial(load_stored, named=named))
    if any(item.cell.dataset_fingerprint != source.dataset_fingerprint for item in resolved):
        raise MemregError(
            f"data set {source.dataset} has changed since cell {source.hash[:12]} was trained: put it back"
        )
    return resolved


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


def train(cells: Sequence[_Training], where: Where, reporter: Reporter) -> None:
    """Train and store every missing member of leased cells, and finish each as soon as its last one is in."""
    by_hash = {c.item.cell.hash: c for c in cells}
    datasets = {c.item.cell.dataset_fingerprint: c.item.dataset for c in cells if c.missing}
    jobs = [Job(c.item.cell, m) for c in cells for m in c.missing]
    left = Counter(job.cell.hash for job in jobs)
    unfinished = {h: c for h, c in by_hash.items() if c.missing or not c.writer.complete}
    try:
        for c in [c for c in unfinished.values() if not c.missing]:
            _finish(c, reporter)
            del unfinished[c.item.cell.hash]
        for job, prediction in where.engine(jobs, datasets, where.resources) if jobs else ():
            c = by_hash[job.cell.hash]
            c.pending.append(prediction)
            reporter.advance(job.cell)
            left[job.cell.hash] -= 1
            complete = left[job.cell.hash] == 0
            late = time.monotonic() - c.flushed > FLUSH_SECONDS
            if complete or late or len(c.pending) >= FLUSH_MEMBERS:
                _flush(c)
            if complete:
                _finish(c, reporter)
                del unfinished[job.cell.hash]
            interruption.check()
    except BaseException as error:
        _give_back(unfinished.values(), error)
        raise


def _others_at_work(busy: Sequence[str]) -> TakenError:
    more = f", and {len(busy) - 1} more cells are taken" if len(busy) > 1 else ""
    return TakenError(f"{busy[0]}{more}: wait=SECONDS waits for that, or start again when it is done")


def _prepare(c: _Training, reporter: Reporter) -> None:
    """A run to which members are going to be added."""
    describe(c.writer, c.item.dataset.examples(), c.item.parameters)
    for damage in c.writer.damaged.values():
        reporter.warn(damage)
    c.writer.reopen()


def _give_back(cells: Iterable[_Training], error: BaseException) -> None:
    """Store what the leased ones among these cells have, leave no run running and let others at them, as far
    as what failed lets that be done."""
    held = [c for c in cells if c.leased]
    with suppress(Exception):
        for c in held:
            with suppress(TakenError):
                _flush(c)
    with suppress(Exception):
        for c in [c for c in held if c.leased]:
            if not c.writer.complete:
                c.writer.end(end_status(error))
            c.leases.release(c.writer.run_id)


def _flush(c: _Training) -> None:
    if not c.pending:
        return
    c.leases.check(c.writer.run_id)
    labels = np.concatenate([c.item.dataset.train_labels, c.item.dataset.test_labels])
    predictions, c.pending = c.pending, []
    points = [(p.member, *_accuracies(p, labels), p.seconds) for p in predictions]
    for p in predictions:  # first: they are in no shard
        c.writer.log_series({f"epoch/{key}": enumerate(v, 1) for key, v in p.curve.items()})
    c.writer.store(
        predictions,
        {name: [(p[0], p[i]) for p in points] for i, name in enumerate(SERIES, 1)},
    )
    c.flushed = time.monotonic()


def _accuracies(p: Prediction, labels: np.ndarray) -> tuple[float, float]:
    correct = p.predicted == labels
    n_train = len(p.included)
    return float(correct[n_train:].mean()), float(correct[:n_train][p.included].mean())


def _finish(c: _Training, reporter: Reporter) -> None:
    """Scores and aggregates, and the tag that makes the cell visible."""
    c.leases.check(c.writer.run_id)
    labels = np.concatenate([c.item.dataset.train_labels, c.item.dataset.test_labels])
    metrics = finish(c.writer, labels, c.item.parameters)
    c.leases.release(c.writer.run_id)
    reporter.finish(c.item.cell, metrics)
