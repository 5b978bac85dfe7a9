"""Writing into one MLflow run: a study's or an analysis', and a cell's with its members."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Metric, Param, RunStatus, RunTag
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.estimators.traces import Traces
from memreg.members import Members
from memreg.registry.api import newest
from memreg.registry.artifacts import Artifacts
from memreg.registry.frames import METRICS, METRICS_SCHEMA
from memreg.registry.leases import end_status
from memreg.registry.shards import read_shard, write_shard
from memreg.registry.traces import FOLDER, read_trace, trace_name, write_trace
from memreg.registry.view import run_link
from memreg.tracing import Tracing

LOGGED = "member/included_accuracy"  # of every member that was ever stored
BATCH = 1000  # metrics that one log_batch call may carry


STEPS = "memreg.steps"
"""The tag of a cell that says how its members were trained, each way once, semicolons between."""


class RunWriter:
    """One MLflow run: what every kind of run has in common."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self.client = client
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.artifacts = Artifacts(client.tracking_uri, self.run_id, run.info.artifact_uri)

    def log(
        self,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        note: str | None = None,
    ) -> None:
        """Scalars, tags, params and the Markdown description, in one call. NaN metrics are left out."""
        all_tags = dict(tags or {}) | ({"mlflow.note.content": note} if note else {})
        now = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id,
            [Metric(key, value, now, 0) for key, value in (metrics or {}).items() if value == value],
            [Param(key, str(value)) for key, value in (params or {}).items()],
            [RunTag(key, value) for key, value in all_tags.items()],
        )

    def withdraw(self, stale: Callable[[str], bool]) -> None:
        """Set metrics of an earlier conclusion to NaN: those whose names are stale."""
        now = int(time.time() * 1000)
        known = self.client.get_run(self.run_id).data.metrics
        gone = [Metric(key, float("nan"), now, 0) for key in known if stale(key)]
        if gone:
            self.client.log_batch(self.run_id, gone)

    def log_series(self, series: Mapping[str, Iterable[tuple[int, float]]]) -> None:
        """(step, value) pairs of each metric."""
        now = int(time.time() * 1000)
        points = [
            Metric(key, value, now, step)
            for key, pairs in series.items()
            for step, value in pairs
            if value == value
        ]
        for i in range(0, len(points), BATCH):
            self.client.log_batch(self.run_id, points[i : i + BATCH])

    def log_dataset(self, name: str, fingerprint: str, profile: str) -> None:
        """The data set as an MLflow input; its digest there is the head of the fingerprint."""
        entity = DatasetEntity(name, fingerprint[:36], "memreg", json.dumps({"name": name}), None, profile)
        try:
            self.client.log_inputs(self.run_id, [DatasetInput(entity)])
        except MlflowException:  # of two who log a data set first together, one fails
            self.client.log_inputs(self.run_id, [DatasetInput(entity)])

    def where(self, name: str) -> str:
        """Where a person sees an artifact: its path on this machine, or the UI's page of it."""
        place = self.artifacts.place
        return str(place.root / name) if place else f"{self.link}/artifacts/{name}"

    @property
    def link(self) -> str:
        """The run's page in the UI."""
        return run_link(self.client.tracking_uri, self.experiment_id, self.run_id)

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)


class CellWriter(RunWriter):
    """One cell's run, and which of its members are safely stored."""

    def __init__(self, client: MlflowClient, run: Run, cell: Cell) -> None:
        super().__init__(client, run)
        self.cell = cell
        self.complete = is_complete(run)
        """With metrics as this memreg computes them."""
        self._trained = self.complete or LOGGED in run.data.metrics
        self._traced = set[int]()

    @property
    def members(self) -> set[int]:
        """Safely stored."""
        return self._stored[0]

    @property
    def damaged(self) -> dict[str, str]:
        """What is wrong with which shard."""
        return self._stored[1]

    @cached_property
    def _stored(self) -> tuple[set[int], dict[str, str]]:
        members, damaged = set[int](), dict[str, str]()
        for name in self.artifacts.names("predictions", ".arrow"):
            path = self.artifacts.get(name)
            try:
                shard = read_shard(path, self.cell.hash, self.cell.dataset_fingerprint)
            except MemregError as error:
                damaged[name] = str(error)
            else:
                members.update(shard.member.tolist())
        if self._trained and not members and not damaged:
            self._not_found()
        return members, damaged

    def _not_found(self) -> None:
        """Members were stored, and none is to be found: raise `MemregError`, rather than train them again.

        A cell that was in training may have lost its only shard, which is trained again.
        """
        self.artifacts.check()
        if self.complete:
            raise MemregError(
                f"cell {self.cell.hash[:12]} is complete, and run {self.run_id} has no predictions/*.arrow: "
                f"put them back, or let it be trained anew by `mlflow runs delete --run-id {self.run_id}`"
            )

    def done(self, wanted: Collection[int], tracing: Tracing | None = None) -> bool:
        """Complete, with these members and their traces, and undamaged."""
        stored = self.complete and self.members.issuperset(wanted) and not self.damaged
        return stored and not self.untraced(wanted, tracing)

    def untraced(self, wanted: Collection[int], tracing: Tracing | None) -> set[int]:
        """Members that are to keep a trace and have none as it is asked for."""
        asked = {m for m in wanted if m < tracing.members} if tracing else set[int]()
        if tracing is None or not asked - self._traced:
            return set()
        for name in self.artifacts.names(FOLDER, ".arrow"):
            with suppress(MemregError):  # a damaged one is made anew
                trace, observers = self._trace(name)
                if tracing.met_by(trace.steps, observers):
                    self._traced.update(trace.member.tolist())
        return asked - self._traced

    def store_trace(self, trace: Traces, tracing: Tracing) -> None:
        """Keep the trace of one member, with what an earlier one has seen at the same checkpoints.

        What observers of the same names and other source have seen is not kept.
        """
        name, observers = trace_name(int(trace.member[0])), dict(tracing.observers)
        if name in self.artifacts.names(FOLDER, ".arrow"):
            with suppress(MemregError):
                earlier, others = self._trace(name)
                same = all(others.get(each, source) == source for each, source in observers.items())
                if same and np.array_equal(earlier.steps, trace.steps):
                    trace, observers = trace.with_earlier(earlier), others | observers
        self.artifacts.put(
            name,
            lambda path: write_trace(path, trace, observers, self.cell.hash, self.cell.dataset_fingerprint),
        )
        self._traced.update(trace.member.tolist())

    def _trace(self, name: str) -> tuple[Traces, dict[str, str]]:
        path = self.artifacts.get(name)
        return read_trace(path, self.cell.hash, self.cell.dataset_fingerprint)

    def reopen(self) -> None:
        """Members are going to be added: running again, not complete until they are in, and rid of damage."""
        self.artifacts.check_own()
        self.complete = False
        self.client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        self.log(tags={"memreg.status": "training"})
        for name in self.damaged:
            self.artifacts.set_aside(name)
        self.damaged.clear()

    def store(self, members: Members, series: Mapping[str, Iterable[tuple[int, float]]]) -> None:
        """Keep members: first their shard, then what MLflow says of them."""
        first = int(members.member.min())
        self.artifacts.put(
            f"predictions/{first:06d}.arrow",
            lambda path: write_shard(path, members, self.cell.hash, self.cell.dataset_fingerprint),
        )
        self.members.update(members.member.tolist())
        self.log_series(series)

    def note_steps(self, steps: Iterable[str]) -> None:
        """Add to what is known of how its members were trained."""
        known = self.client.get_run(self.run_id).data.tags.get(STEPS, "")
        noted = {*known.split("; "), *steps} - {""}
        if (now := "; ".join(sorted(noted))) != known:
            self.log(tags={STEPS: now})

    def counted(self) -> int:
        """Members that its metrics are of, those that diverged too; 0 before it was first complete."""
        known = self.client.get_run(self.run_id).data.metrics
        return int(known.get("members", 0) + known.get("diverged", 0))

    def logged(self, key: str) -> dict[int, float]:
        """The newest value of a series at each step."""
        return newest(self.client, self.run_id, key)


def is_complete(run: Run) -> bool:
    """Whether a cell's run has all its members, and metrics as this memreg computes them."""
    tags = run.data.tags
    return tags.get("memreg.status") == "complete" and tags.get(METRICS) == METRICS_SCHEMA


@contextmanager
def ended(run: RunWriter) -> Iterator[RunWriter]:
    """A run is left FINISHED, FAILED or KILLED; RUNNING only where MLflow does not answer any more."""
    try:
        yield run
    except BaseException as error:
        with suppress(MlflowException):
            run.end(end_status(error))
        raise
    run.end("FINISHED")
