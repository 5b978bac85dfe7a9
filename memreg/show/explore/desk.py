"""What the server answers from: the registry, the data sets at hand, and what was asked for lately."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.data import Dataset
from memreg.data.fetch import without_downloads
from memreg.data.stored import images_of
from memreg.design import CHOSEN
from memreg.errors import MemregError
from memreg.registry import Registry, StoredCell
from memreg.registry.connection import masked
from memreg.registry.tables import read_table
from memreg.show.explore import example, tiles, told
from memreg.show.notes import left_out

CELLS = 64  # whose scores are kept: 4 MB each at 60,000 examples
CORRELATION = "correlation.json"


class Desk:
    """Reads and never writes. Raises `MemregError` for what is not there.

    data_dir: where data sets are. named: a data set whose name is code, which runs because its name was given
    here. correlate: the correlation of a study, by name, as correlation.json.
    """

    def __init__(
        self,
        registry: Registry,
        correlate: Callable[[str], str],
        data_dir: Path | None = None,
        named: str | None = None,
    ) -> None:
        self.registry = registry
        self._correlate = correlate
        self._data_dir, self._named = data_dir, named
        self._listed: tuple[set[str], set[str]] | None = None
        self._datasets: dict[str, Dataset] = {}
        self._opening, self._reading, self._correlating = (threading.Lock() for _ in range(3))
        self._cells: dict[tuple[str, float | None], StoredCell] = {}
        self._pictured: dict[str, StoredCell] = {}  # by name: images stay the same when a cell grows
        self._scores = lru_cache(CELLS)(told.score_columns)
        self._first = lru_cache(1000)(told.first_scores)
        self._labels = lru_cache(4)(told.label_columns)
        self._correlated = lru_cache(CELLS)(lambda name, cells: self._correlation(name, dict(cells)))

    def cell(self, name: str) -> StoredCell:
        """A cell, with what was read of it before, unless it has got more members since."""
        return self._kept(self.registry.cell(name))

    def _kept(self, found: StoredCell) -> StoredCell:
        key = found.hash, found.metrics.get("members")
        with self._opening:
            return self._cells.setdefault(key, found)

    def home(self) -> dict[str, Any]:
        """Studies, and cells, newest first."""
        cells = told.cell_rows(self.registry.cells())[::-1]
        studies = told.studies(self.registry)
        if self._listed is not None:
            named, hashes = self._listed
            studies = [row for row in studies if row["study"] in named]
            cells = [row for row in cells if row["cell"] in hashes]
        return {"registry": masked(self.registry.tracking_uri), "studies": studies, "cells": cells}

    def limit(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """List these studies and cells alone. Returns the studies' names, and the hashes of all their cells.

        Raises `MemregError` for a name that is neither.
        """
        studies, hashes = [], []
        for name in names:
            try:
                studies.append(str(self.registry.study_run(name).data.tags["memreg.study"]))
                hashes += list(self.registry.cells(name, columns=())["cell"])
            except MemregError as error:
                hashes.append(self._cell_named(name, error))
        self._listed = set(studies), set(hashes)
        return studies, hashes

    def _cell_named(self, name: str, no_study: MemregError) -> str:
        try:
            return self.registry.cell(name).hash
        except MemregError as error:
            raise MemregError(f"{name} is neither a study nor a cell: {no_study}; {error}") from None

    def study(self, name: str) -> dict[str, Any]:
        """A study's cells, and how memorization goes with test accuracy over them, or `why` not."""
        table = self.registry.cells(name)
        answer: dict[str, Any] = {"study": name, "cells": told.cell_rows(table)}
        with self._correlating:
            found = self._correlated(name, tuple(_comparable(table).items()))
        return answer | found | {"left_out": left_out(table)}

    def _correlation(self, name: str, members: Mapping[str, float]) -> dict[str, Any]:
        try:
            found = json.loads(self._stored_correlation(name, members) or self._correlate(name))
        except MemregError as error:
            return {"why": str(error)}
        return {key: found[key] for key in ("pooled", "fixed_effects")} | {"points": found["cells"]}

    def _stored_correlation(self, name: str, members: Mapping[str, float]) -> str | None:
        """As the study kept it, where it is about just these cells, with the members that they have now.
        Earlier versions correlated others too."""
        artifacts = self.registry.artifacts(self.registry.study_run(name))
        there = {*artifacts.names("", ".json"), *artifacts.names("", ".parquet")}
        if not {CORRELATION, "cells.parquet"} <= there:
            return None
        if _comparable(read_table(artifacts.get("cells.parquet"))) != members:
            return None
        text = artifacts.get(CORRELATION).read_text(encoding="utf-8")
        return text if members.keys() >= {row["cell"] for row in json.loads(text)["cells"]} else None

    def about(self, name: str) -> dict[str, Any]:
        """What a cell is, the estimator to begin with or why there is none, whether images are at hand."""
        cell = self.cell(name)
        about = told.about(cell, told.cell_rows(self._alike(cell)))
        try:
            first: dict[str, Any] = {"first": self._first(cell) or ""}
        except MemregError as error:
            first = {"first": None, "without_scores": str(error)}
        return about | first | self._pictures(cell)

    def _alike(self, cell: StoredCell) -> pd.DataFrame:
        """Cells with the same data set; of imported ones, whose images are not known, with its name too."""
        where = f"tags.`memreg.dataset_fingerprint` = '{cell.tags['memreg.dataset_fingerprint']}'"
        table = self.registry.cells(where=where)
        return table[table["dataset"] == cell.cell.dataset] if cell.cell.design.kind == "imported" else table

    def _pictures(self, cell: StoredCell) -> dict[str, Any]:
        dataset, why = self.with_images(cell.hash)[1:]
        if dataset is None:
            return {"without_images": why}
        height, width = dataset.train_images.shape[1:3]
        return {"height": height, "width": width, "side": tiles.side((height, width))}

    def examples(self, name: str) -> told.Columns:
        """Labels of a cell's training examples."""
        return told.example_columns(self.cell(name))

    def scores(self, name: str, estimator: str | None) -> told.Columns:
        """What an estimator says of a cell's training examples."""
        return self._scores(self.cell(name), estimator)

    def labels(self, name: str) -> told.Columns:
        """The training examples that are probably mislabelled."""
        return self._labels(self.cell(name))

    def files(self, name: str, examples: Sequence[int]) -> list[str]:
        """Files of training examples, where they have one."""
        cell = self.cell(name)
        return told.files(cell, _within(examples, cell.n_train))

    def example(self, name: str, index: int) -> dict[str, Any]:
        """What is known of one training example."""
        cell = self.cell(name)
        _within([index], cell.n_train)
        others = map(self._kept, self.registry.cells_by_run(self._alike(cell)["run_id"]))
        cells = example.over_cells(index, others, self._first_of)
        with self._reading:
            known = example.known(cell, index)
        return known | {"cells": cells, "file": "".join(self.files(name, [index]))}

    def _first_of(self, cell: StoredCell) -> tuple[str | None, told.Columns]:
        estimator = self._first(cell)
        return estimator, self._scores(cell, estimator)

    def dataset(self, cell: StoredCell) -> Dataset:
        """Raises `MemregError` where it is not at hand: nothing is downloaded, and no code runs unasked."""
        fingerprint = cell.tags["memreg.dataset_fingerprint"]
        with self._opening:
            if fingerprint not in self._datasets:
                with without_downloads():
                    self._datasets[fingerprint] = images_of(cell.cell, self._data_dir, self._own(cell))
            return self._datasets[fingerprint]

    def _own(self, cell: StoredCell) -> str | None:
        return self._named if self._named == cell.cell.dataset else None

    def with_images(self, name: str) -> tuple[StoredCell, Dataset | None, str]:
        """A cell and its data set, or why that is not at hand."""
        cell = self.cell(name)
        try:
            return cell, self.dataset(cell), ""
        except MemregError as error:
            return cell, None, str(error)

    def sheet(self, name: str, places: Sequence[int], columns: int) -> tuple[bytes, str]:
        """Images as one picture: of training examples, and from n_train on of test examples."""
        images = self._images(name, places[: tiles.MOST])
        columns = min(columns, len(images))
        return tiles.encoded(tiles.sheet(images, columns), max(images.shape[1:3]) <= tiles.EXACT)

    def image(self, name: str, place: int) -> tuple[bytes, str]:
        """One image as it is."""
        return tiles.encoded(tiles.picture(self._images(name, [place])[0]))

    def _images(self, name: str, places: Sequence[int]) -> NDArray[np.uint8]:
        cell = self._pictured.get(name) or self._pictured.setdefault(name, self.cell(name))
        dataset, n = self.dataset(cell), cell.n_train
        _within(places, len(cell.labels))
        picked = [dataset.train_images[j] if j < n else dataset.test_images[j - n] for j in places]
        return np.stack(picked)


def _within(places: Sequence[int], n: int) -> Sequence[int]:
    wrong = next((j for j in places if not 0 <= j < n), None)
    if wrong is not None or not len(places):
        raise MemregError(f"there is no example {wrong}: they are 0 to {n - 1}")
    return places


def _comparable(table: pd.DataFrame) -> dict[str, float]:
    """The members of each cell that takes part in a correlation. table: as cells.parquet."""
    table = table.reindex(columns=["cell", "members", "design"])
    return dict(table[~table["design"].isin(CHOSEN)].set_index("cell")["members"])
