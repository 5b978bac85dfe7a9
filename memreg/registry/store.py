"""Writing studies and cells into MLflow: section by section the contract of docs/registry.md.

One process, the driver, writes. Everything is logged by run id: MLflow's active run is not used.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, Metric, Param, RunStatus, RunTag
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.prediction import Prediction
from memreg.registry.artifacts import Artifacts
from memreg.registry.connection import connect, environment_run_id, outage
from memreg.registry.provenance import provenance
from memreg.registry.shards import read_shard, write_shard
from memreg.registry.view import view_tag

EXPERIMENT = "memreg"
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
        entity = DatasetEntity(name, fingerprint[:36], "memreg", f'{{"name": "{name}"}}', None, profile)
        self.client.log_inputs(self.run_id, [DatasetInput(entity)])

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)


class CellWriter(RunWriter):
    """One cell's run, and which of its members are safely stored."""

    def __init__(self, client: MlflowClient, run: Run, cell: Cell) -> None:
        super().__init__(client, run)
        self.cell = cell
        self.complete = run.data.tags.get("memreg.status") == "complete"
        self.members: set[int] = set()
        self.damaged: list[str] = []
        for name in self.artifacts.names("predictions", ".arrow"):
            path = self.artifacts.get(name)
            try:
                shard = read_shard(path, cell.hash, cell.dataset_fingerprint)
            except MemregError as error:
                self.damaged.append(str(error))
                self.artifacts.set_aside(name)
            else:
                self.members.update(shard["member"].tolist())

    def reopen(self) -> None:
        """Members are going to be added: running again, and not complete until `finish`."""
        self.complete = False
        self.client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        self.log(tags={"memreg.status": "training"})

    def store(self, predictions: list[Prediction], series: Mapping[str, Iterable[tuple[int, float]]]) -> None:
        """Keep members: first their shard, then what MLflow says of them."""
        first = min(p.member for p in predictions)
        self.artifacts.put(
            f"predictions/{first:06d}.arrow",
            lambda path: write_shard(path, predictions, self.cell.hash, self.cell.dataset_fingerprint),
        )
        self.members.update(p.member for p in predictions)
        self.log_series(series)

    def logged(self, key: str) -> dict[int, float]:
        """The newest value of a series at each step."""
        history = sorted(self.client.get_metric_history(self.run_id, key), key=lambda m: m.timestamp)
        return {m.step: m.value for m in history}


class Store:
    """The writing side, in the experiment that `mlflow run` opened its run in, else `memreg`."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.client = connect(tracking_uri, create=True)
        self._outer = self._outer_run()
        self._experiment_id: str | None = self._outer.info.experiment_id if self._outer else None
        self._context = resolve_tags()

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

    def run(self, run_id: str) -> RunWriter:
        """A run that exists, to add to it."""
        return RunWriter(self.client, self.client.get_run(run_id))

    def save_view(self, study: str, run: RunWriter) -> None:
        """The study's cells as a saved view of the UI; a newer study of the same name takes its place."""
        key, value = view_tag(study, run.run_id)
        self.client.set_experiment_tag(run.experiment_id, key, value)

    def find_cell(self, cell: Cell) -> CellWriter | None:
        """The run of this cell in the experiment, if there is one."""
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`memreg.cell` = '{cell.hash}' and tags.`memreg.kind` = 'cell'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        return CellWriter(self.client, found[0], cell) if found else None

    def create_cell(self, cell: Cell, parent: RunWriter, study: str) -> CellWriter:
        """A fresh run for a cell, under the study's run."""
        tags = {
            "memreg.kind": "cell",
            "memreg.study": study,
            "memreg.cell": cell.hash,
            "memreg.dataset_fingerprint": cell.dataset_fingerprint,
            "memreg.status": "training",
            "mlflow.parentRunId": parent.run_id,
        }
        name = f"{cell.recipe.model} {cell.dataset}"
        run = self.client.create_run(self.experiment_id, tags=self._context | tags, run_name=name)
        return CellWriter(self.client, run, cell)

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


def end_status(error: BaseException) -> str:
    """KILLED for Ctrl-C and SIGTERM, FAILED for everything else."""
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
