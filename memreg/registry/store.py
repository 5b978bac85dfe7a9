"""Writing studies and cells into MLflow: section by section the contract of docs/registry.md.

One process, the driver, writes. Everything is logged by run id: MLflow's active run is not used.
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from mlflow.entities import RunStatus
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.registry.api import Api
from memreg.registry.connection import connect, environment_run_id, exclusive, masked, outage
from memreg.registry.holding import KEY, holding_tag, merged_commands, position
from memreg.registry.leases import SETTLE, Leases, driven, end_status
from memreg.registry.provenance import provenance
from memreg.registry.view import view_tag
from memreg.registry.writers import CellWriter, RunWriter, ended, is_complete
from memreg.tracing import Tracing

EXPERIMENT = "memreg"


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
                if commands := merged_commands(earlier, new.get("memreg.command", "")):
                    new["memreg.command"] = commands
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
        if run is None or not is_complete(run):
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
