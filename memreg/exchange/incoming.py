"""Cells from elsewhere become cells like any other: a run each, under a study."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.design import Imported
from memreg.engines import Engine, Job
from memreg.errors import MemregError
from memreg.exchange.outside import Outside
from memreg.grid import Grid, check_dataset, check_name
from memreg.members import Members, Prediction
from memreg.parameters import first_error
from memreg.questions.correlation import Correlated, correlated_where_possible
from memreg.recipe import Recipe
from memreg.registry import CellWriter
from memreg.registry.traces import FOLDER
from memreg.studies.progress import Progress
from memreg.studies.study import Outcome, Where, open_study

AT_ONCE = 100  # members
SECONDS, EPOCHS = "member/train_seconds", "epoch/"  # series that members carry


@dataclass(frozen=True)
class Incoming:
    """A cell with all that is to be stored of it."""

    cell: Cell
    wanted: Sequence[int]
    """Its members, by index."""
    table: pd.DataFrame
    """As examples.parquet."""
    shards: Callable[[], Iterator[Members]]
    parameters: int | None = None
    """Of its model, where known."""
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Value by step."""
    sources: Sequence[str] = ()
    """What each member was called elsewhere."""
    tables: Mapping[str, Path] = field(default_factory=dict)
    """Other artifacts by their names."""

    @property
    def dataset(self) -> Dataset | None:
        """What came has no images."""
        return None

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of all N examples, training first."""
        return self.table["label"].to_numpy(np.int64)

    def examples(self) -> pd.DataFrame:
        """As examples.parquet."""
        return self.table


def from_outside(outside: Outside, dataset: str, recipe: Mapping[str, Any]) -> Incoming:
    """A cell of members that were trained elsewhere; `recipe` has what is known of that, `model` at least."""
    check_dataset(dataset, "import")
    k = len(outside.members)
    design = Imported(kind="imported", content=outside.content, networks=k)
    try:
        known = Recipe(**recipe)
    except ValidationError as error:
        raise MemregError(f"import: {first_error(error)}") from error
    cell = Cell(dataset=dataset, dataset_fingerprint=outside.fingerprint, recipe=known, design=design)
    return Incoming(
        cell,
        range(k),
        outside.examples(),
        lambda: (outside.members[first : first + AT_ONCE] for first in range(0, k, AT_ONCE)),
        sources=outside.sources,
    )


@dataclass(frozen=True)
class From:
    """Where cells come from."""

    study: str
    """Name of the study that they are to be."""
    grid: str
    said: str
    """Where they are from, for the study's description."""


def bring_in(
    incoming: Sequence[Incoming], origin: From, progress: Progress, tracking_uri: str | None = None
) -> Outcome[Correlated | None]:
    """Store cells as a study; what the registry has of them already stays."""
    check_name(origin.study, "study")
    where = Where(Engine(partial(_given, incoming), device=""), tracking_uri=tracking_uri)
    with open_study(Grid(origin.grid, origin.said, ()), incoming, origin.study, where, progress) as opened:
        opened.train()
        for item in incoming:
            _complete(item, opened.writer(item.cell))
        table = opened.table()
        correlated = correlated_where_possible(opened.registry, table)
        return opened.conclude(table, correlated)


def _given(
    incoming: Sequence[Incoming], jobs: Iterable[Job], _: Mapping[str, Dataset]
) -> Iterator[tuple[Job, Prediction]]:
    """Give members that are there already, as an engine gives trained ones."""
    wanted = {(job.cell.hash, job.member): job for job in jobs}
    for item in incoming:
        seconds, first = item.series.get(SECONDS, {}), min(item.wanted)
        curve = {
            key.removeprefix(EPOCHS): dict(values)
            for key, values in item.series.items()
            if key.startswith(EPOCHS)
        }
        for shard in item.shards():
            for p in shard.one_by_one():
                if job := wanted.get((item.cell.hash, p.member)):
                    own = curve if p.member == first else {}
                    yield job, replace(p, seconds=seconds.get(p.member, p.seconds), curve=own)


def _complete(item: Incoming, writer: CellWriter) -> None:
    """What is known of an imported cell beside its members."""
    if item.sources:
        called = pd.DataFrame({"member": item.wanted, "source": item.sources})
        writer.artifacts.put("members.parquet", called.to_parquet)
    traces = writer.artifacts.names(FOLDER, ".arrow")
    for name, path in item.tables.items():
        if name in traces:  # what is there may be of more observers
            continue
        writer.artifacts.put(name, partial(shutil.copyfile, path))
