"""Members of leased cells, from the engine into the registry, as they come."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import interruption
from memreg.cell import Cell
from memreg.data import Dataset
from memreg.engines import Engine, Job
from memreg.errors import TakenError
from memreg.members import Members, Prediction
from memreg.registry import CellWriter
from memreg.registry.leases import Leases, end_status
from memreg.registry.shards import read_shards
from memreg.studies.progress import Progress
from memreg.studies.record import SERIES, describe, finish
from memreg.tracing import Tracing

FLUSH_SECONDS = 15.0
FLUSH_MEMBERS = 100


class Item(Protocol):
    """A cell that a study is to have, wherever its members come from."""

    @property
    def cell(self) -> Cell: ...

    @property
    def wanted(self) -> Collection[int]:
        """Members that are asked for, by index."""

    @property
    def parameters(self) -> int | None:
        """Of the model, where known."""

    @property
    def dataset(self) -> Dataset | None:
        """With its images, where it takes them."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of all N examples, training first."""

    def examples(self) -> pd.DataFrame:
        """As examples.parquet."""


@dataclass
class CellTraining:
    """A cell in training, with the members that finished but are not stored yet."""

    item: Item
    wanted: set[int]
    leases: Leases
    writer: CellWriter
    tracing: Tracing | None = None
    pending: list[Prediction] = field(default_factory=list)
    since: float = 0.0
    """When the first of them began to be trained."""

    @property
    def missing(self) -> list[int]:
        """Members that are to be trained: those that are not stored, and those that lack their trace."""
        untraced = self.writer.untraced(self.wanted, self.tracing)
        return sorted((self.wanted - self.writer.members) | untraced)

    def job(self, member: int) -> Job:
        traced = self.tracing is not None and member < self.tracing.members
        return Job(self.item.cell, member, self.tracing if traced else None)

    @property
    def done(self) -> bool:
        return self.writer.done(self.wanted, self.tracing)

    @property
    def leased(self) -> bool:
        return self.writer.run_id in self.leases


def train(cells: Sequence[CellTraining], engine: Engine, progress: Progress) -> None:
    """Train and store every missing member of leased cells, and finish each as soon as its last one is in."""
    by_hash = {c.item.cell.hash: c for c in cells}
    datasets = {c.item.dataset.fingerprint: c.item.dataset for c in cells if c.missing and c.item.dataset}
    jobs = [c.job(m) for c in cells for m in c.missing]
    left = Counter(job.cell.hash for job in jobs)
    unfinished = {h: c for h, c in by_hash.items() if c.missing or not c.writer.complete}
    try:
        for c in [c for c in unfinished.values() if not c.missing]:
            _finish(c, progress)
            del unfinished[c.item.cell.hash]
        for job, prediction in engine.run(jobs, datasets) if jobs else ():
            c = by_hash[job.cell.hash]
            if not c.pending:
                c.since = time.monotonic() - prediction.seconds
            c.pending.append(prediction)
            progress.advance(job.cell)
            left[job.cell.hash] -= 1
            complete = left[job.cell.hash] == 0
            late = time.monotonic() - c.since > FLUSH_SECONDS
            full = complete or late or len(c.pending) >= FLUSH_MEMBERS
            if full and (others := _flush(c)):
                progress.warn(
                    f"{others} members of {c.item.cell.recipe.model} on {c.item.cell.dataset} that were "
                    "trained again for their traces are not the networks that are stored, as on another "
                    "processor, with another torch, or where a GPU trained those in stacks or fused: the "
                    "traces are of others of the same seeds"
                )
            if complete:
                _finish(c, progress)
                del unfinished[job.cell.hash]
            interruption.check()
        if unfinished:
            raise RuntimeError(f"{engine.run} has ended without {sum(left.values())} members")
    except BaseException as error:
        give_back(unfinished.values(), error)
        raise


def prepare(c: CellTraining, progress: Progress) -> None:
    """A run to which members are going to be added."""
    describe(c.writer, c.item.examples(), c.item.parameters)
    for damage in c.writer.damaged.values():
        progress.warn(damage)
    c.writer.reopen()


def give_back(cells: Iterable[CellTraining], error: BaseException) -> None:
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


def _flush(c: CellTraining) -> int:
    """Store what is pending; of members that were trained again for their traces, how many are other networks
    than those that are stored."""
    again = {p.member: p for p in c.pending if p.member in c.writer.members}
    others = _others(c, again) if again else 0
    traced = [(p.trace, c.tracing) for p in c.pending]
    c.pending = [p for p in c.pending if p.member not in c.writer.members]
    if c.pending or any(trace is not None for trace, _ in traced):
        c.leases.check(c.writer.run_id)
    for trace, tracing in traced:
        if trace is not None and tracing is not None:
            c.writer.store_trace(trace, tracing)
    if not c.pending:
        return others
    points = [(p.member, *_accuracies(p, c.item.labels), p.seconds) for p in c.pending]
    for p in c.pending:  # first: they are in no shard
        c.writer.log_series({f"epoch/{key}": v.items() for key, v in p.curve.items()})
    c.writer.note_steps({p.step for p in c.pending})
    c.writer.store(
        Members.of(c.pending),
        {name: [(p[0], p[i]) for p in points] for i, name in enumerate(SERIES, 1)},
    )
    c.pending = []
    return others


def _others(c: CellTraining, again: Mapping[int, Prediction]) -> int:
    cell, count = c.item.cell, 0
    columns = ("member", "predicted")
    for shard in read_shards(c.writer.artifacts, cell.hash, cell.dataset_fingerprint, columns):
        for member, predicted in zip(shard.member.tolist(), shard.predicted, strict=True):
            if member in again:
                count += not np.array_equal(predicted, again[member].predicted)
    return count


def _accuracies(p: Prediction, labels: NDArray[np.int64]) -> tuple[float, float]:
    correct = p.predicted == labels
    n_train = len(p.included)
    tested = correct[n_train:]
    test = float(tested.mean()) if len(tested) else float("nan")  # imported members may come without
    return test, float(correct[:n_train][p.included].mean())


def _finish(c: CellTraining, progress: Progress) -> None:
    """Scores and aggregates, and the tag that makes the cell visible."""
    c.leases.check(c.writer.run_id)
    metrics = finish(c.writer, c.item.examples(), c.item.parameters)
    c.leases.release(c.writer.run_id)
    progress.finish(c.item.cell, metrics)
