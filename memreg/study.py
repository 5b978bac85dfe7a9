"""The main path: grid -> cells -> members -> registry -> scores -> correlation."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from memreg import interruption, models, notes
from memreg.analyses.correlation import Correlation, correlate, log_correlation
from memreg.analyses.memorization import score_table
from memreg.analyses.subpopulations import same_data
from memreg.analyses.tallies import COLUMNS, tally_shards
from memreg.cell import Cell
from memreg.data import Dataset, load
from memreg.design import Design
from memreg.engines import Engine, Job, Resources
from memreg.errors import MemregError
from memreg.estimators.summary import summarise
from memreg.grid import Grid, Planned, check_name
from memreg.prediction import Prediction, diverged
from memreg.registry import CellWriter, Registry, RunWriter, Store
from memreg.registry.shards import read_shards
from memreg.registry.store import end_status, ended
from memreg.report import write_report
from memreg.terminal import Reporter

FLUSH_SECONDS = 15.0
FLUSH_MEMBERS = 100
SERIES = ("member/test_accuracy", "member/included_accuracy", "member/train_seconds")


@dataclass(frozen=True)
class Where:
    """On what members are trained, from where, and into which registry."""

    engine: Engine
    resources: Resources
    data_dir: Path | None = None
    """None for MEMREG_DATA_DIR's, else ./data."""
    tracking_uri: str | None = None
    """None for MLflow's own choice."""


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

    writer: CellWriter
    item: Resolved
    wanted: set[int]
    pending: list[Prediction] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def missing(self) -> list[int]:
        return sorted(self.wanted - self.writer.members)


@dataclass
class Study:
    """An open study: its run, and its cells, which can be trained and then asked for more members."""

    name: str
    run: RunWriter
    registry: Registry
    _store: Store
    _where: Where
    _reporter: Reporter
    _cells: list[_Training] = field(default_factory=list)

    def add(self, item: Resolved) -> None:
        """Find or create a cell's run; stored members are kept, whichever study trained them."""
        if all(c.item.cell != item.cell for c in self._cells):
            writer = _open(self._store, self.run, self.name, item, self._reporter)
            self._cells.append(_Training(writer, item, set(range(item.members))))

    def adopt(self, run_id: str) -> RunWriter:
        """Hang the run of a cell that is not trained any more under this study."""
        writer = self._store.run(run_id)
        self._store.adopt(writer, self.run, self.name)
        return writer

    def train(self, *cells: Cell) -> None:
        """Train and store what is missing of these cells, by default of all, and score those that are then
        complete."""
        chosen = [self._find(cell) for cell in cells] or self._cells
        self._reporter.start([(c.item.cell, len(c.missing), len(c.wanted)) for c in chosen])
        train(chosen, self._where, self._reporter)

    def wanted(self, cell: Cell) -> frozenset[int]:
        """Members that have been asked for: a cell may have more."""
        return frozenset(self._find(cell).wanted)

    def grow(self, cell: Cell, members: Iterable[int]) -> None:
        """Ask for these members too; `train` trains them."""
        found = self._find(cell)
        found.wanted.update(members)
        if found.missing:
            found.writer.reopen()

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

    def answer(self, table: pd.DataFrame) -> Correlation | None:
        """Log cells.parquet, and the correlation if 3 cells have scores."""
        self.run.artifacts.put("cells.parquet", table.to_parquet)
        scored = table["mean_score"].notna().sum() if "mean_score" in table else 0
        correlation = correlate(self.registry, self.run.run_id) if scored >= 3 else None
        if correlation is not None:
            log_correlation(self.run, correlation)
        return correlation


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
    source: Cell, designs: Sequence[tuple[Design, int]], data_dir: Path | None = None
) -> list[Resolved]:
    """The cells of a stored cell's data set and recipe with other designs, and as many members of each."""
    planned = [Planned(source.dataset, source.recipe, design, members) for design, members in designs]
    resolved = resolve(planned, data_dir)
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
        correlation = opened.answer(table)
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
    """A study's run and its cells' runs, found or created."""
    store = Store(where.tracking_uri)
    run = store.open_run("study", study, {"memreg.study": study, "memreg.grid": grid.name})
    with ended(run):
        store.save_view(study, run)
        run.log(note=notes.study(study, grid))
        opened = Study(study, run, Registry(where.tracking_uri), store, where, reporter)
        for item in resolved:
            opened.add(item)
        yield opened
        write_report(run, opened.registry, opened.dataset)


def train(cells: Sequence[_Training], where: Where, reporter: Reporter) -> None:
    """Train and store every missing member, and finish each cell as soon as its last one is in."""
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
        _keep(unfinished.values(), error)
        raise


def _keep(cells: Iterable[_Training], error: BaseException) -> None:
    """Store what has finished and leave no run running, as far as what failed lets that be done."""
    with suppress(Exception):
        for c in cells:
            _flush(c)
    with suppress(Exception):
        for c in cells:
            c.writer.end(end_status(error))


def _open(store: Store, run: RunWriter, study: str, item: Resolved, reporter: Reporter) -> CellWriter:
    writer = store.find_cell(item.cell)
    if writer is None:
        writer = store.create_cell(item.cell, run, study)
        _describe(writer, item)
        return writer
    if "examples.parquet" not in writer.artifacts.names("", ".parquet"):
        _describe(writer, item)
    for damage in writer.damaged:
        reporter.warn(damage)
    store.adopt(writer, run, study)
    if writer.damaged or not writer.complete or not writer.members.issuperset(range(item.members)):
        writer.reopen()
    return writer


def _describe(writer: CellWriter, item: Resolved) -> None:
    """What a cell is. Done again where a kill came in between: examples.parquet is the last of it."""
    dataset = item.dataset
    writer.log(params={**item.cell.params(), "parameters": item.parameters})
    profile = f'{{"n_train": {dataset.n_train}, "n_test": {dataset.n_test}}}'
    writer.log_dataset(dataset.name, dataset.fingerprint, profile)
    writer.artifacts.put("cell.json", lambda p: p.write_text(item.cell.canonical_json()))
    writer.artifacts.put("examples.parquet", dataset.examples().to_parquet)


def _flush(c: _Training) -> None:
    if not c.pending:
        return
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
    """Scores and aggregates from the stored shards, then the tag that makes the cell visible."""
    writer, cell = c.writer, c.item.cell
    labels = np.concatenate([c.item.dataset.train_labels, c.item.dataset.test_labels])
    _complete_series(writer, labels)
    shards = read_shards(writer.artifacts, cell.hash, cell.dataset_fingerprint, COLUMNS)
    sums = tally_shards(shards, labels)
    table = score_table(sums.total, c.item.dataset.train_labels)
    writer.artifacts.put("scores.parquet", table.to_parquet)
    metrics = summarise(sums)
    metrics["diverged"] = len(writer.members) - metrics["members"]
    metrics["train_seconds"] = sum(writer.logged("member/train_seconds").values())
    writer.end("FINISHED")  # first: a cell that is complete is not looked at again
    writer.log(
        metrics=metrics,
        tags={"memreg.status": "complete"},
        note=notes.cell(cell, c.item.parameters, metrics),
    )
    writer.complete = True
    reporter.finish(cell, metrics)


def _complete_series(writer: CellWriter, labels: np.ndarray) -> None:
    """Log what a kill between a shard and its metrics left unlogged."""
    unlogged = writer.members - writer.logged(SERIES[0]).keys()
    if not unlogged:
        return
    cell = writer.cell
    for shard in read_shards(writer.artifacts, cell.hash, cell.dataset_fingerprint):
        correct = shard["predicted"] == labels
        n_train = shard["included"].shape[1]
        test = correct[:, n_train:].mean(1)
        included = (correct[:, :n_train] & shard["included"]).sum(1) / shard["included"].sum(1)
        for name, values in zip(SERIES, (test, included), strict=False):
            pairs = zip(shard["member"].tolist(), values.tolist(), strict=True)
            writer.log_series({name: [(m, v) for m, v in pairs if m in unlogged]})
