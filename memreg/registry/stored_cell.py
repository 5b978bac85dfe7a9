"""A cell of the registry as an object: found once, read when it is asked for, and then kept."""

from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mlflow.entities.run import Run
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.cell import Cell
from memreg.design import CHOSEN
from memreg.errors import MemregError
from memreg.estimators.counts import Tally
from memreg.estimators.scores import score_table
from memreg.estimators.statistics import OF_LEFT_OUT
from memreg.estimators.traces import Traces
from memreg.members import COLUMNS, Members, tallied
from memreg.registry.artifacts import Artifacts
from memreg.registry.shards import read_shard, shard_names
from memreg.registry.tables import MEMBERS, PRIVACY, PRIVACY_QUERIES, read_table, scores_name
from memreg.registry.traces import FOLDER, joined, read_trace, trace_name
from memreg.wording import counted

if TYPE_CHECKING:
    from memreg.registry.reader import Registry

COUNTED = ("member", "included", "predicted")
"""What scores are made of."""
KNOWN = ("clean_label", "group", "source_label", "file")
"""Columns of examples.parquet that not every data set has."""
LABEL_KNOWN = "label_known"
"""Column of examples.parquet of imported cells: False throughout where they came without labels."""
NO_LABEL = -1
"""Stands for a label that is not known, where labels are shown."""


class StoredCell:
    """What the registry has of one cell, as it was when the cell was found.

    Members that are stored later are not seen: `registry.cell(...)` finds the cell anew.
    """

    def __init__(self, registry: "Registry", run: Run, artifacts: Artifacts) -> None:
        self.registry = registry
        self.artifacts = artifacts
        self._run = run

    @property
    def run_id(self) -> str:
        """Of its MLflow run."""
        return str(self._run.info.run_id)

    @property
    def hash(self) -> str:
        """SHA-256 of what the cell is: the tag `memreg.cell`."""
        return str(self.tags["memreg.cell"])

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._run.data.tags)

    @property
    def metrics(self) -> dict[str, float]:
        """The cell's aggregates, by their MLflow names."""
        known = dict(self._run.data.metrics)
        chosen = self._run.data.params.get("design") in CHOSEN
        return known | {key: float("nan") for key in known if chosen and key.startswith(OF_LEFT_OUT)}

    @property
    def complete(self) -> bool:
        """All members that were asked for are in: its scores are from all that are stored."""
        return self.tags.get("memreg.status") == "complete"

    def __str__(self) -> str:
        return f"cell {self.hash[:12]}"

    @cached_property
    def cell(self) -> Cell:
        """What the cell is: data set, recipe and design."""
        fingerprint = self.tags["memreg.dataset_fingerprint"]
        if found := Cell.from_params(self._run.data.params, fingerprint, self.hash):
            return found
        path = self.artifacts.get("cell.json")
        try:
            return Cell.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise MemregError(f"{path}: does not describe a cell as this memreg knows them") from error

    @cached_property
    def examples(self) -> pd.DataFrame:
        """`split`, `example`, `label`, and of `KNOWN` what the data set has: N rows, training first."""
        return read_table(self.artifacts.get("examples.parquet"))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of all N examples, training first; 0 where they are not known, as is what is right."""
        return self._labelled[0]

    @cached_property
    def labels_known(self) -> bool:
        """False of a cell that was imported without labels. Earlier versions did not write that down: of
        cells that they imported, labels that are all 0 are none."""
        if LABEL_KNOWN in self.examples:
            return bool(self.examples[LABEL_KNOWN].all())
        return self.cell.design.kind != "imported" or bool(self.labels.any())

    @property
    def given_labels(self) -> NDArray[np.int64]:
        """As `labels`, for who shows them: `NO_LABEL` throughout where they are not known."""
        return self.labels if self.labels_known else np.full_like(self.labels, NO_LABEL)

    @cached_property
    def class_names(self) -> dict[int, str]:
        """What the data calls the class of each label, where that is not its number."""
        if "source_label" not in self.examples:
            return {}
        named = self.examples.drop_duplicates("label")
        return {int(k): str(v) for k, v in zip(named["label"], named["source_label"], strict=True)}

    @property
    def n_train(self) -> int:
        """Training examples."""
        return self._labelled[1]

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Shape [n_train]."""
        return self.labels[: self.n_train]

    @cached_property
    def _labelled(self) -> tuple[NDArray[np.int64], int]:
        return self.registry.labelled(self)

    @cached_property
    def _shards(self) -> list[str]:
        return shard_names(self.artifacts, self.hash)

    def members(self, *columns: str) -> Members:
        """All members, in order of their index, with these columns and `member`; by default with all."""
        return Members.joined(self.shards(*(dict.fromkeys(("member", *columns)) if columns else ())))

    def shards(self, *columns: str) -> Iterator[Members]:
        """The members of one prediction shard after the other, for cells that memory does not hold."""
        for name in self._shards:
            yield self._read(name, columns or COLUMNS)

    def _read(self, name: str, columns: tuple[str, ...]) -> Members:
        try:
            fingerprint = self.tags["memreg.dataset_fingerprint"]
            return read_shard(self.artifacts.get(name), self.hash, fingerprint, columns)
        except MemregError:
            self.artifacts.forget(name)  # a study may mend it
            raise

    def traces(self, *quantities: str, members: int | None = None) -> Traces:
        """What training showed of each training example, of all members that kept a trace.

        quantities: by default all that each of them has; members: the first so many alone. Raises
        `MemregError` where no member kept one.
        """
        names = self._traced()
        asked = names if members is None else [name for name in names if name < trace_name(members)]
        found = [self._trace(name, quantities) for name in asked]
        if not found:
            raise MemregError(
                f"{self} has no traces: `memreg train --like {self.hash[:12]} --trace 20` makes them"
            )
        return joined(found)

    def each_trace(self, *quantities: str) -> Iterator[Traces]:
        """Of one member after the other what its trace has of these quantities, whatever others have."""
        for name in self._traced():
            yield self._trace(name, quantities)[0]

    def _traced(self) -> list[str]:
        """Artifacts that hold traces, by member."""
        return self.artifacts.names(FOLDER, ".arrow")

    def _trace(self, name: str, quantities: tuple[str, ...]) -> tuple[Traces, dict[str, str]]:
        try:
            fingerprint = self.tags["memreg.dataset_fingerprint"]
            return read_trace(self.artifacts.get(name), self.hash, fingerprint, quantities or None)
        except MemregError:
            self.artifacts.forget(name)  # a study may mend it
            raise

    def tally(self, blocks: bool = False, only: Collection[int] | None = None) -> Tally:
        """Sums over the members that did not diverge, within the design's blocks or over all of them.

        only: the members that count, by index; by default all.
        """
        block = self.cell.design.block if blocks else lambda member: 0
        return tallied(self.shards(*COUNTED), self.labels, block, only)

    def scores(self, estimator: str | None = None) -> pd.DataFrame:
        """One row per training example; the columns are those of scores.parquet.

        estimator: `peers`, `gaussian`, `shrunk`, `extrapolation`, `candidates` or `leave_one_out`, once
        `memreg memorization` has computed it; or `privacy`, once `memreg privacy` has, and `privacy_queries`,
        once it has with `--queries`, which say how well each example is told by membership inference. Raises
        `MemregError` where a cell that they were computed from has got more members since.
        """
        name = scores_name(estimator)
        command = f"memreg memorization --cell {self.hash[:12]} --estimator {estimator}"
        if estimator in (PRIVACY, PRIVACY_QUERIES):
            queries = " --queries" if estimator == PRIVACY_QUERIES else ""
            command = f"memreg privacy --cell {self.hash[:12]}{queries}"
        again = f"`{command}` computes it"
        if estimator is not None and name not in self.artifacts.names("", ".parquet"):
            raise MemregError(f"{self} has no {name}: {again}, if there is such an estimator")
        table = read_table(self.artifacts.get(name))
        for hash_, members in table.attrs.get(MEMBERS, {}).items():
            now = self.count if hash_ == self.hash else self.registry.count(hash_)
            if now not in (members, None):
                raise MemregError(
                    f"{self}: its {name} is from {counted(members, 'member')} of cell {hash_[:12]}, which "
                    f"has {now} now: {again} anew"
                )
        if not self.labels_known:
            table["label"] = NO_LABEL
        return table

    def described(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Rows of `scores()` with, behind their label, what examples.parquet knows of each example."""
        known = [name for name in KNOWN if name in self.examples and name not in scores]
        rows = self.examples.iloc[: self.n_train].set_index("example")[known].loc[scores["example"]]
        place = list(scores.columns).index("label") + 1
        both = (scores.reset_index(drop=True), rows.reset_index(drop=True))
        return pd.concat([both[0].iloc[:, :place], both[1], both[0].iloc[:, place:]], axis=1)

    @property
    def count(self) -> int | None:
        """Members that its scores are from; None while it is in training."""
        return int(self.metrics["members"]) if self.complete else None

    def series(self, key: str) -> dict[int, float]:
        """The newest value at each step of one of its metrics' series."""
        return self.registry.series(self.run_id, key)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Artifacts from which the cell can be had again, by name: what it is, its tables, its shards."""
        for folder, suffix in (
            ("", ".json"),
            ("", ".parquet"),
            ("predictions", ".arrow"),
            (FOLDER, ".arrow"),
        ):
            for name in self.artifacts.names(folder, suffix):
                yield name, self.artifacts.get(name)


class Part(StoredCell):
    """A cell as if it had some of its members alone: what is computed from members is from these."""

    def __init__(self, whole: StoredCell, members: Collection[int]) -> None:
        super().__init__(whole.registry, whole._run, whole.artifacts)
        self._only = np.fromiter(members, np.int64)

    def __str__(self) -> str:
        return f"{super().__str__()} with {len(self._only)} of its members"

    @property
    def count(self) -> int:
        return len(self._only)

    def shards(self, *columns: str) -> Iterator[Members]:
        """Shards that have some of the members, without the others."""
        for shard in super().shards(*dict.fromkeys(("member", *(columns or COLUMNS)))):
            if (chosen := np.isin(shard.member, self._only)).any():
                yield shard[chosen]

    def _traced(self) -> list[str]:
        own = {trace_name(int(member)) for member in self._only}
        return [name for name in super()._traced() if name in own]

    def scores(self, estimator: str | None = None) -> pd.DataFrame:
        """Feldman & Zhang's, of these members; other estimators are computed by their names."""
        if estimator is not None:
            return super().scores(estimator)
        return score_table(self.tally().total, self.given_labels)
