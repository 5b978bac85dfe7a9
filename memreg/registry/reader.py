"""Reading the registry: cells as a frame, predictions as arrays. Reading never writes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.prediction import Predictions
from memreg.registry.api import NEWEST, Api, newest
from memreg.registry.artifacts import Artifacts
from memreg.registry.connection import connect, outage
from memreg.registry.frames import frame
from memreg.registry.shards import COLUMNS, read_shards, stack
from memreg.registry.sql import sql_reader

MEMBERS = "memreg.members"
"""Attribute of a table of scores: members, by hash, of each cell that it was computed from."""
COMPLETE = "tags.`memreg.kind` = 'cell' and tags.`memreg.status` = 'complete'"


class Registry:
    """Complete cells of a tracking store, across its experiments.

    A cell is named by its hash, by at least six digits of it, or by its run id; a study by its name (its
    newest run with that name) or its run id.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self._client = connect(tracking_uri)
        self._api = Api(self._client)
        self._fast = sql_reader(self._client.tracking_uri) or self._api
        self._artifacts: dict[str, Artifacts] = {}

    @property
    def tracking_uri(self) -> str:
        return str(self._client.tracking_uri)

    def cells(
        self, study: str | None = None, where: str = "", columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """One row per cell: `run_id`, `cell`, `study`, then params and metrics by their MLflow names.

        With `study`, its cells in the order of its grid, else all complete cells, oldest first. `where` is a
        filter in MLflow's language, as "params.dataset = 'digits' and metrics.test_accuracy > 0.9".
        `columns` chooses params and metrics.
        """
        if study is None:
            where = f"{COMPLETE} and {where}" if where else COMPLETE
            return frame(self._fast.wide(where, columns), columns)
        listed = self.artifacts(self.study_run(study)).get("cells.parquet")
        run_ids = _table(listed)["run_id"].tolist()
        if where:
            fitting = set(self._fast.wide(f"tags.`memreg.kind` = 'cell' and {where}", ()).run_id)
            run_ids = [run_id for run_id in run_ids if run_id in fitting]
        return self.rows(run_ids, columns)

    def rows(self, run_ids: Iterable[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of `cells` for these runs, in this order."""
        wanted = list(run_ids)
        table = frame(self._fast.wide_of(wanted, columns), columns)
        if gone := set(wanted).difference(table["run_id"]):
            raise MemregError(
                f"run {gone.pop()}, a cell of this study, is gone for good: run the study again"
            )
        return table.set_index("run_id").loc[wanted].reset_index()

    def cell_run(self, cell: str) -> Run:
        """The MLflow run of a cell that is complete, or was before more members were asked for."""
        run = self._cell_run(cell)
        tags = run.data.tags
        if tags.get("memreg.status") != "complete" and "members" not in run.data.metrics:
            raise MemregError(
                f"cell {cell} is not complete: the command of study '{tags.get('memreg.study')}' trains the "
                "members that it lacks"
            )
        return run

    def _cell_run(self, cell: str) -> Run:
        if not cell:
            raise MemregError("which cell? Give its hash, or its run id: `memreg cells` lists them")
        found = self._api.find(f"tags.`memreg.cell` LIKE '{_plain(cell)}%'") if len(cell) >= 6 else []
        found = [run for run in found if run.data.tags.get("memreg.kind") == "cell"]
        if len(found) > 1:
            hashes = {run.data.tags["memreg.cell"] for run in found}
            if len(hashes) > 1:
                raise MemregError(f"cell {cell} is ambiguous: {len(hashes)} cells begin with it")
            complete = [run for run in found if run.data.tags["memreg.status"] == "complete"]
            return (complete or found)[0]
        return found[0] if found else self._run(cell, "cell")

    def study_run(self, study: str) -> Run:
        """The MLflow run of a study; of several with this name, the newest that has its cells."""
        if not study:
            raise MemregError("which study? Give its name or its run id")
        found = self._api.find(
            f"tags.`memreg.kind` = 'study' and tags.`memreg.study` = '{_plain(study)}'",
            NEWEST,
        )
        done = [run for run in found if run.info.status == "FINISHED"]
        if done or found:
            return (done or found)[0]
        return self._run(study, "study")

    def analyses(self, cells: Iterable[str]) -> list[Run]:
        """Runs of analyses that took any of these cells, by hash: of each name the newest, oldest first."""
        wanted, newest = set(cells), {}
        for run in self._api.find("tags.`memreg.kind` = 'analysis'"):
            if wanted.intersection(run.data.tags.get("memreg.cells", "").split(",")):
                newest[run.info.run_name] = run
        return list(newest.values())

    def cell(self, cell: str) -> Cell:
        """What a cell is."""
        path = self.artifacts(self.cell_run(cell)).get("cell.json")
        try:
            return Cell.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise MemregError(f"{path}: does not describe a cell as this memreg knows them") from error

    def examples(self, cell: str) -> pd.DataFrame:
        """`split`, `example`, `label`, and where known `clean_label` and `group`: N rows, training first."""
        return _table(self.artifacts(self.cell_run(cell)).get("examples.parquet"))

    def scores(self, cell: str, estimator: str | None = None) -> pd.DataFrame:
        """One row per training example; the columns are those of scores.parquet.

        estimator: `peers`, `gaussian`, `shrunk`, `extrapolation` or `leave_one_out`, once `-e memorization`
        has computed it. Raises `MemregError` where the cell has got more members since.
        """
        name = scores_name(estimator)
        artifacts = self.artifacts(self.cell_run(cell))
        if estimator is not None and name not in artifacts.names("", ".parquet"):
            raise MemregError(
                f"cell {cell} has no {name}: `mlflow run . -e memorization -P cell={cell} "
                f"-P estimator={estimator}` computes it, if there is such an estimator"
            )
        table = _table(artifacts.get(name))
        for hash_, members in table.attrs.get(MEMBERS, {}).items():
            if self.members(hash_) not in (members, None):
                raise MemregError(
                    f"cell {cell}: its {name} is from {members} members of cell {hash_[:12]}, which has "
                    f"{self.members(hash_)} now: `mlflow run . -e memorization -P cell={cell} "
                    f"-P estimator={estimator}` computes it anew"
                )
        return table

    def members(self, hash_: str) -> int | None:
        """Members that the scores of a complete cell are from; None where it is not here, or in training."""
        found = self._api.find(f"{COMPLETE} and tags.`memreg.cell` = '{_plain(hash_)}'")
        return int(found[0].data.metrics["members"]) if found else None

    def shards(self, cell: str, columns: Sequence[str] = COLUMNS) -> Iterator[dict[str, NDArray[Any]]]:
        """Prediction shards one at a time: arrays by column name, a row per member."""
        run = self.cell_run(cell)
        tags = run.data.tags
        return read_shards(
            self.artifacts(run), tags["memreg.cell"], tags["memreg.dataset_fingerprint"], columns
        )

    def predictions(self, cell: str) -> Predictions:
        """All members, stacked in order of their index."""
        return stack(self.shards(cell))

    def series(self, cell: str, key: str) -> dict[int, float]:
        """The newest value at each step of a cell's series."""
        return newest(self._client, self.cell_run(cell).info.run_id, key)

    def files(self, cell: str) -> Iterator[tuple[str, Path]]:
        """Artifacts from which a cell can be had again, by their names: shards and tables, and what it is."""
        artifacts = self.artifacts(self.cell_run(cell))
        for folder, suffix in (("", ".json"), ("", ".parquet"), ("predictions", ".arrow")):
            for name in artifacts.names(folder, suffix):
                yield name, artifacts.get(name)

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
            known = sorted(
                {r.data.tags["memreg.study"] for r in self._api.find("tags.`memreg.kind` = 'study'")}
            )
            hint = f"studies are {', '.join(known) or 'none yet'}"
            raise MemregError(
                f"there is no {kind} '{run_id}' in this registry: "
                + (hint if kind == "study" else "`memreg cells` lists what there is")
            )
        return run


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise MemregError(
            f"{path}: damaged, or no Parquet file: put it back, or run the study again"
        ) from error


def _plain(text: str) -> str:
    if "'" in text or "%" in text:
        raise MemregError(f"{text!r} names nothing in a registry: no quotes or percent signs")
    return text


def scores_name(estimator: str | None) -> str:
    """The artifact that an estimator's scores are kept in."""
    return f"scores-{estimator}.parquet" if estimator else "scores.parquet"


def labels(examples: pd.DataFrame) -> NDArray[np.int64]:
    """Labels of all N examples, training first."""
    return examples["label"].to_numpy(np.int64)
