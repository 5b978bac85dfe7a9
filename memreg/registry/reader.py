"""Reading the registry: cells as a frame, predictions as arrays. Reading never writes."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from memreg.errors import IncompleteStudyWarning, MemregError
from memreg.members import Members
from memreg.parameters import did_you_mean
from memreg.registry.api import NEWEST, Api, newest
from memreg.registry.artifacts import Artifacts
from memreg.registry.connection import connect, outage
from memreg.registry.frames import frame
from memreg.registry.holding import position
from memreg.registry.sql import sql_reader
from memreg.registry.stored_cell import StoredCell
from memreg.registry.tables import read_table
from memreg.registry.tags import tagged_cells

MOST_LISTED = 8
"""Hashes that a message lists."""
COMPLETE = "tags.`memreg.kind` = 'cell' and tags.`memreg.status` = 'complete'"


class Registry:
    """Complete cells of a tracking store, across its experiments.

    A cell is named by its hash, by the first digits of it if no other begins with them, or by its run id;
    a study by its name or its run id.
    """

    kept_as: type[StoredCell] = StoredCell

    def __init__(self, tracking_uri: str | None = None) -> None:
        self._client = connect(tracking_uri)
        self._api = Api(self._client)
        self._fast = sql_reader(self._client.tracking_uri) or self._api
        self._artifacts: dict[str, Artifacts] = {}
        self._labels: dict[str, tuple[NDArray[np.int64], int]] = {}

    @property
    def tracking_uri(self) -> str:
        return str(self._client.tracking_uri)

    def cells(
        self, study: str | None = None, where: str = "", columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """One row per cell: `run_id`, `cell`, `study`, then params and metrics by their MLflow names.

        With `study`, its cells in the order in which they were asked for, else all cells, oldest first. Cells
        that have never had all their members are not listed; of a study's a warning counts them. `where` is a
        filter in MLflow's language, as "params.dataset = 'digits' and metrics.test_accuracy > 0.9".
        `columns` chooses params and metrics.
        """
        if study is None:
            where = f"{COMPLETE} and {where}" if where else COMPLETE
            return frame(self._fast.wide(where, columns), columns)
        held = self.held(study)
        if where:
            fitting = set(self._fast.wide(f"tags.`memreg.kind` = 'cell' and {where}", ()).run_id)
            held = [run_id for run_id in held if run_id in fitting]
        wide = self._fast.wide_of(held, ["members"])
        _all_there(held, wide.run_id)
        counts = wide.metrics.get("members", np.full(len(wide.run_id), np.nan))
        scored = {run_id for run_id, count in zip(wide.run_id, counts, strict=True) if count == count}
        ready = [run_id for run_id in held if run_id in scored]
        if missing := len(held) - len(ready):
            warnings.warn(
                f"study {study}: {missing} of its {len(held)} cells have not all their members yet and are "
                "not listed",
                IncompleteStudyWarning,
                stacklevel=2,
            )
        return self.rows(ready, columns)

    def held(self, study: str) -> list[str]:
        """Run ids of a study's cells, those in training too, in the order in which they were asked for."""
        run = self.study_run(study)
        found = self._fast.held(run.data.tags["memreg.study"], run.info.run_id)
        if found:
            return [run_id for run_id, value in sorted(found, key=lambda each: position(each[1]))]
        artifacts = self.artifacts(run)
        if "cells.parquet" not in artifacts.names("", ".parquet"):
            return []
        return list(read_table(artifacts.get("cells.parquet"))["run_id"])

    def rows(self, run_ids: Iterable[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of `cells` for these runs, in this order."""
        wanted = list(run_ids)
        table = frame(self._fast.wide_of(wanted, columns), columns)
        _all_there(wanted, table["run_id"])
        return table.set_index("run_id").loc[wanted].reset_index()

    def cell(self, cell: str) -> StoredCell:
        """A cell that is complete, or was before more members were asked for.

        Raises `MemregError` where there is no such cell, or where it never had all members.
        """
        return self._stored(self._cell_run(cell))

    def cells_by_run(self, run_ids: Iterable[str]) -> list[StoredCell]:
        """The cells of these runs, in this order, in one request for a hundred of them."""
        wanted = list(run_ids)
        runs = {run.info.run_id: run for run in self._api.runs(wanted)}
        _all_there(wanted, runs)
        return [self._stored(runs[run_id]) for run_id in wanted]

    def _stored(self, run: Run) -> StoredCell:
        tags = run.data.tags
        if tags.get("memreg.status") != "complete" and "members" not in run.data.metrics:
            raise MemregError(
                f"cell {tags['memreg.cell'][:12]} is not complete: the command of study "
                f"'{tags.get('memreg.study')}' trains the members that it lacks"
            )
        return self.kept_as(self, run, self.artifacts(run))

    def _cell_run(self, cell: str) -> Run:
        if not cell:
            raise MemregError("which cell? Give its hash, or its run id: `memreg cells` lists them")
        digits = set(_plain(cell)) <= set("0123456789abcdef")
        found = self._api.find(f"tags.`memreg.cell` LIKE '{cell}%'") if digits else []
        found = [run for run in found if run.data.tags.get("memreg.kind") == "cell"]
        if len(found) > 1:
            hashes = {run.data.tags["memreg.cell"] for run in found}
            if len(hashes) > 1:
                listed = ", ".join(h[: len(cell) + 6] for h in sorted(hashes)[:MOST_LISTED])
                more = ", ..." if len(hashes) > MOST_LISTED else ""
                raise MemregError(
                    f"cell {cell} is ambiguous: {len(hashes)} cells begin with it ({listed}{more})"
                )
            complete = [run for run in found if run.data.tags["memreg.status"] == "complete"]
            return (complete or found)[0]
        return found[0] if found else self._run(cell, "cell")

    def study_run(self, study: str) -> Run:
        """The MLflow run of a study, by its name or its run id."""
        if not study:
            raise MemregError("which study? Give its name or its run id")
        return self._api.study(_plain(study)) or self._run(study, "study")

    def study_runs(self) -> list[Run]:
        """Runs of all studies, newest first."""
        return self._api.find("tags.`memreg.kind` = 'study'", NEWEST)

    def analyses(self, cells: Iterable[str]) -> list[Run]:
        """Runs of analyses that took any of these cells, by hash: of each name the newest, oldest first."""
        wanted, newest = set(cells), {}
        for run in self._api.find("tags.`memreg.kind` = 'analysis'"):
            if wanted & tagged_cells(run.data.tags):
                newest[run.info.run_name] = run
        return list(newest.values())

    def scores(self, cell: str, estimator: str | None = None) -> pd.DataFrame:
        """Read a cell's scores; see `StoredCell.scores`."""
        return self.cell(cell).scores(estimator)

    def predictions(self, cell: str) -> Members:
        """All members of a cell, in order of their index."""
        return self.cell(cell).members()

    def count(self, hash_: str) -> int | None:
        """Members that the scores of a complete cell are from; None where it is not here, or in training."""
        found = self._api.find(f"{COMPLETE} and tags.`memreg.cell` = '{_plain(hash_)}'")
        return int(found[0].data.metrics["members"]) if found else None

    def labelled(self, cell: StoredCell) -> tuple[NDArray[np.int64], int]:
        """Labels of all N examples of a cell's data set, training first, and how many of them are training's.

        Read once for each data set: its fingerprint is of its labels too.
        """
        fingerprint = cell.tags["memreg.dataset_fingerprint"]
        if fingerprint not in self._labels:
            examples = cell.examples
            n_train = int((examples["split"] == "train").sum())
            self._labels[fingerprint] = examples["label"].to_numpy(np.int64), n_train
        return self._labels[fingerprint]

    def series(self, run_id: str, key: str) -> dict[int, float]:
        """The newest value at each step of a run's series."""
        return newest(self._client, run_id, key)

    def artifacts(self, run: Run) -> Artifacts:
        """The files of a run."""
        run_id = run.info.run_id
        if run_id not in self._artifacts:
            self._artifacts[run_id] = Artifacts(self._client.tracking_uri, run_id, run.info.artifact_uri)
        return self._artifacts[run_id]

    def _run(self, run_id: str, kind: str) -> Run:
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if outage(error):
                raise
            run = None
        if run is None or run.data.tags.get("memreg.kind") != kind:
            hint = "`memreg cells` lists what there is"
            if kind == "study":
                known = sorted({study.data.tags["memreg.study"] for study in self.study_runs()})
                listing = f"studies are {', '.join(known) or 'none yet'}"
                hint = f"{did_you_mean(run_id, known, '')} {listing}".strip()
            raise MemregError(f"there is no {kind} '{run_id}' in this registry: {hint}")
        return run


def _all_there(wanted: Iterable[str], found: Iterable[str]) -> None:
    if gone := set(wanted).difference(found):
        raise MemregError(f"run {gone.pop()}, a cell of this study, is gone for good: run the study again")


def _plain(text: str) -> str:
    if "'" in text or "%" in text:
        raise MemregError(f"{text!r} is not a valid name: quotes and percent signs are not allowed")
    return text
