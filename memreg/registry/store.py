"""Writing studies and cells into MLflow: section by section the contract of docs/registry.md.

One process, the driver, writes. Everything is logged by run id: MLflow's active run is not used.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Metric, Param, RunStatus, RunTag
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.estimators.traces import Traces
from memreg.members import Members
from memreg.registry.api import Api, newest
from memreg.registry.artifacts import Artifacts
from memreg.registry.connection import connect, environment_run_id, exclusive, masked, outage
from memreg.registry.frames import METRICS, METRICS_SCHEMA
from memreg.registry.holding import KEY, holding_tag, merged_commands, position
from memreg.registry.leases import SETTLE, Leases, driven, end_status
from memreg.registry.provenance import provenance
from memreg.registry.shards import read_shard, write_shard
from memreg.registry.traces import FOLDER, read_trace, trace_name, write_trace
from memreg.registry.view import run_link, view_tag
from memreg.tracing import Tracing

EXPERIMENT = "memreg"
LOGGED = "member/included_accuracy"  # of every member that was ever stored
BATCH = 1000  # metrics that one log_batch call may carry


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
        self.complete = _complete(run)
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
        """Keep the trace of one member, with what an earlier one has seen at the same checkpoints."""
        name, observers = trace_name(int(trace.member[0])), dict(tracing.observers)
        if name in self.artifacts.names(FOLDER, ".arrow"):
            with suppress(MemregError):
                earlier, others = self._trace(name)
                if np.array_equal(earlier.steps, trace.steps):
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

    def counted(self) -> int:
        """Members that its metrics are of, those that diverged too; 0 before it was first complete."""
        known = self.client.get_run(self.run_id).data.metrics
        return int(known.get("members", 0) + known.get("diverged", 0))

    def logged(self, key: str) -> dict[int, float]:
        """The newest value of a series at each step."""
        return newest(self.client, self.run_id, key)


class Store:
    """The writing side, in the experiment that `mlflow run` opened its run in, else `memreg`."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.client = connect(tracking_uri, create=True)
        self._outer = self._outer_run()
        self._experiment_id: str | None = self._outer.info.experiment_id if self._outer else None
        self._context = {key: masked(value) for key, value in resolve_tags().items()}

    @property
    def experiment_id(self) -> str:
        """Created when first asked for: refused input leaves nothing behind."""
        if self._experiment_id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            found = self.client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage != "active":
                raise MemregError(
                    f"MLflow experiment '{name}' is deleted: restore it with `mlflow experiments restore`"
                )
            self._experiment_id = found.experiment_id if found else self._create_experiment(name)
        return self._experiment_id

    def _create_experiment(self, name: str) -> str:
        try:
            return str(self.client.create_experiment(name))
        except MlflowException:  # another driver was faster
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def open_run(self, kind: str, name: str, tags: Mapping[str, str]) -> RunWriter:
        """A study's or an analysis' run: the one that `mlflow run` opened, or a fresh one."""
        own = {"memreg.kind": kind, **provenance(), **tags}
        if self._outer is not None:
            writer = RunWriter(self.client, self._outer)
            writer.log(tags={"mlflow.runName": name, **own})
            return writer
        run = self.client.create_run(self.experiment_id, tags=self._context | own, run_name=name)
        return RunWriter(self.client, run)

    @contextmanager
    def open_study(
        self, study: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[RunWriter, RunWriter, Leases]]:
        """A study's run, this driver's own run, and its leases.

        The study's run is one for its name: the newest of the experiment is opened again, or the run that
        `mlflow run` opened becomes it, or a fresh one does. It is the driver's own too, unless another driver
        is at work in it: then the driver's is a run beside it. A run that `mlflow run` opened and that is
        not the study's hangs under it as a run of kind `command`.
        """
        run, earlier, leases = self._claim_study(study, tags)
        with ExitStack() as stack:
            if leases is not None:
                stack.enter_context(ended(run))
            if leases is None or (self._outer is not None and self._outer.info.run_id != run.run_id):
                parent = {"memreg.study": study, "mlflow.parentRunId": run.run_id}
                beside = self.open_run("command", f"goes on with {study}", parent)
                stack.enter_context(ended(beside))
            if earlier is not None:
                new = provenance()
                new["memreg.command"] = merged_commands(earlier, new.get("memreg.command", ""))
                run.log(tags={**new, **tags})
            own = run if leases is not None else beside
            yield run, own, stack.enter_context(leases or Leases(self.client, own.run_id))

    def _claim_study(
        self, study: str, tags: Mapping[str, str]
    ) -> tuple[RunWriter, str | None, Leases | None]:
        """A study's run; the commands of earlier drivers, None for a run of our own making; and this driver's
        leases, None where another driver is at work in that run."""
        experiment, api = self.experiment_id, Api(self.client)
        with exclusive(self.client.tracking_uri) as alone_here:
            found = api.study(study, experiment)
            if found is not None and driven(found):
                return RunWriter(self.client, found), found.data.tags.get("memreg.command", ""), None
            if found is None:
                run = self.open_run("study", study, {"memreg.study": study, **tags})
            else:
                run = RunWriter(self.client, found)
                self.client.update_run(run.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
            leases = Leases(self.client, run.run_id)
            leases.drive()
        if not alone_here:
            try:
                time.sleep(SETTLE)  # over HTTP others may have done the same at this moment
            except BaseException as error:
                run.end(end_status(error))
                raise
            first = api.study(study, experiment)
            if first is not None and (first.info.run_id != run.run_id or not leases.drives()):
                mine = self._outer is not None and self._outer.info.run_id == run.run_id
                if first.info.run_id != run.run_id and not mine:
                    self.client.delete_run(run.run_id)
                return RunWriter(self.client, first), first.data.tags.get("memreg.command", ""), None
        return run, None if found is None else found.data.tags.get("memreg.command", ""), leases

    def run(self, run_id: str) -> RunWriter:
        """A run that exists, to add to it."""
        return RunWriter(self.client, self.client.get_run(run_id))

    def save_view(self, study: str, run: RunWriter) -> None:
        """The study's cells as a saved view of the UI; a newer study of the same name takes its place."""
        key, value = view_tag(study, run.run_id)
        with exclusive(self.client.tracking_uri):
            try:
                self.client.set_experiment_tag(run.experiment_id, key, value)
            except MlflowException:  # over HTTP, of two who create the tag together one fails
                self.client.set_experiment_tag(run.experiment_id, key, value)

    def find_cell(self, cell: Cell) -> Run | None:
        """The run of this cell in the experiment, if there is one; of several the oldest."""
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`memreg.cell` = '{cell.hash}' and tags.`memreg.kind` = 'cell'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        return found[0] if found else None

    def claim(
        self,
        cells: Sequence[tuple[Cell, Collection[int], Tracing | None]],
        parent: RunWriter,
        study: str,
        leases: Leases,
    ) -> list[tuple[CellWriter, str | None]]:
        """Each cell's run, found or created under the study's run, and which other driver is at work on it.

        Claimed where nobody is, unless it is complete with the members and traces that are wanted.
        """
        done = [self._done(cell, wanted, tracing) for cell, wanted, tracing in cells]
        left = [cell for (cell, *_), writer in zip(cells, done, strict=True) if writer is None]
        runs, created, settling = list[Run](), set[str](), False
        for cell in left:
            with exclusive(self.client.tracking_uri) as alone:
                run = self.find_cell(cell)
                if run is None:
                    run = self._create_cell(cell, parent, study)
                    created.add(run.info.run_id)
                if leases.at_work(run) is None:
                    leases.claim(run.info.run_id)
                    settling |= not alone
            runs.append(run)
        if settling:
            time.sleep(SETTLE)
            runs = [self._settle(run, cell, created, leases) for run, cell in zip(runs, left, strict=True)]
        claims: list[tuple[CellWriter, str | None]] = []
        for run, cell in zip(runs, left, strict=True):
            mine = run.info.run_id in leases
            who = None if mine else leases.at_work(self.client.get_run(run.info.run_id))
            claims.append((CellWriter(self.client, run, cell), who))
        rest = iter(claims)
        return [next(rest) if writer is None else (writer, None) for writer in done]

    def _done(self, cell: Cell, wanted: Collection[int], tracing: Tracing | None) -> CellWriter | None:
        run = self.find_cell(cell)
        if run is None or not _complete(run):
            return None
        writer = CellWriter(self.client, run, cell)
        return writer if writer.done(wanted, tracing) else None

    def _settle(self, run: Run, cell: Cell, created: Collection[str], leases: Leases) -> Run:
        """The run to use, now that what others did at the same moment is seen."""
        found = self.find_cell(cell) or run
        if found.info.run_id != run.info.run_id and run.info.run_id in created:
            leases.release(run.info.run_id)
            self.client.delete_run(run.info.run_id)
        leases.settled(found)
        return found

    def _create_cell(self, cell: Cell, parent: RunWriter, study: str) -> Run:
        tags = {
            "memreg.kind": "cell",
            "memreg.study": study,
            "memreg.cell": cell.hash,
            "memreg.dataset_fingerprint": cell.dataset_fingerprint,
            "memreg.status": "training",
            "mlflow.parentRunId": parent.run_id,
        }
        return self.client.create_run(self.experiment_id, tags=self._context | tags, run_name=cell.title)

    def held(self, study: str, run: RunWriter) -> dict[str, int]:
        """The place of each cell that a study holds, by its run id."""
        return {run_id: position(value) for run_id, value in Api(self.client).held(study, run.run_id)}

    def undeleted(self, run_ids: Sequence[str]) -> list[str]:
        """Those of these runs that are not deleted, in this order."""
        active = {r.info.run_id for r in Api(self.client).runs(run_ids) if r.info.lifecycle_stage == "active"}
        return [run_id for run_id in run_ids if run_id in active]

    def hold(self, run_id: str, parent: RunWriter, study: str, place: int) -> None:
        """Make the cell of a run one of the study's cells."""
        self.client.set_tag(run_id, *holding_tag(study, parent.run_id, place))

    def let_go(self, run_id: str, study: str) -> None:
        """Make it none of them any more."""
        self.client.delete_tag(run_id, KEY + study)

    def adopt(self, writer: RunWriter, parent: RunWriter, study: str) -> None:
        """Hang an existing cell under the newest study run that asked for it."""
        writer.log(tags={"mlflow.parentRunId": parent.run_id, "memreg.study": study})

    def _outer_run(self) -> Run | None:
        run_id = environment_run_id()
        if run_id is None:
            return None
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if outage(error):
                raise
            raise MemregError(
                f"MLFLOW_RUN_ID names run {run_id}, which this tracking store does not have: "
                "set MLFLOW_TRACKING_URI to the store that `mlflow run` uses"
            ) from error


def _complete(run: Run) -> bool:
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
