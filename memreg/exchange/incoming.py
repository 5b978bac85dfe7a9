"""Cells from elsewhere become cells like any other: a run each, under a study."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from memreg.cell import Cell
from memreg.design import Imported
from memreg.errors import MemregError, TakenError
from memreg.exchange.outside import Outside
from memreg.grid import check_dataset, check_name, first_error
from memreg.questions.subpopulations import same_data
from memreg.recipe import Recipe
from memreg.registry import CellWriter, Registry, Store
from memreg.registry.leases import Leases, end_status
from memreg.registry.reader import labels
from memreg.registry.shards import members_of
from memreg.registry.store import ended
from memreg.show.conclusions import in_words
from memreg.show.report import write_report
from memreg.studies.record import conclude, describe, finish

SHARD = 100  # members of one


@dataclass(frozen=True)
class Incoming:
    """A cell with all that is to be stored of it."""

    cell: Cell
    members: Sequence[int]
    examples: pd.DataFrame
    """As examples.parquet."""
    shards: Callable[[], Iterator[dict[str, NDArray[Any]]]]
    """Their columns."""
    parameters: int | None = None
    """Of its model, where known."""
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Value by step."""
    sources: Sequence[str] = ()
    """What each member was called elsewhere."""
    tables: Mapping[str, Path] = field(default_factory=dict)
    """Other artifacts by their names."""


def from_outside(outside: Outside, dataset: str, recipe: Mapping[str, Any]) -> Incoming:
    """A cell of members that were trained elsewhere; `recipe` has what is known of that, `model` at least."""
    check_dataset(dataset, "import")
    k = len(outside.included)
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
        lambda: (outside.shard(first, first + SHARD) for first in range(0, k, SHARD)),
        sources=outside.sources,
    )


def bring_in(
    incoming: Sequence[Incoming], study: str, grid: str, origin: str, tracking_uri: str | None = None
) -> pd.DataFrame:
    """Store cells as a study; what the registry has of them already stays. Returns its cells.parquet.

    origin: where they are from, for the study's description.
    """
    check_name(study, "study")
    store = Store(tracking_uri)
    run = store.open_run("study", study, {"memreg.study": study, "memreg.grid": grid})
    with ended(run), Leases(store.client, run.run_id) as leases:
        claims = store.claim([(item.cell, item.members) for item in incoming], run, study, leases)
        try:
            _fill(incoming, claims, leases)
        except BaseException as error:
            for writer, _ in claims:
                if writer.run_id in leases and not writer.complete:
                    writer.end(end_status(error))
            raise
        for writer, _ in claims:
            store.adopt(writer, run, study)
        store.save_view(study, run)
        registry = Registry(tracking_uri)
        table = registry.rows(writer.run_id for writer, _ in claims)
        correlation = conclude(run, registry, table)
        said = in_words(correlation) if correlation else "No correlation."
        run.log(note=f"## Study {study}\n\n{origin}\n\n{said}")
        write_report(run, registry, lambda cell: same_data(cell, None))
    return table


def _fill(
    incoming: Sequence[Incoming], claims: Sequence[tuple[CellWriter, str | None]], leases: Leases
) -> None:
    for item, (writer, who) in zip(incoming, claims, strict=True):
        if writer.run_id in leases:
            _store(item, writer)
            leases.release(writer.run_id)
        elif not writer.done(item.members):
            raise TakenError(
                f"{who or 'another'} is at work on cell {item.cell.hash[:12]}: start again later"
            )


def _store(item: Incoming, writer: CellWriter) -> None:
    describe(writer, item.examples, item.parameters)
    writer.reopen()
    for shard in item.shards():
        if new := [p for p in members_of(shard) if p.member not in writer.members]:
            writer.store(new, {})
    for key, series in item.series.items():
        logged = writer.logged(key)
        writer.log_series({key: [(step, value) for step, value in series.items() if step not in logged]})
    finish(writer, labels(item.examples), item.parameters)
    if item.sources:
        called = pd.DataFrame({"member": item.members, "source": item.sources})
        writer.artifacts.put("members.parquet", called.to_parquet)
    for name, path in item.tables.items():
        writer.artifacts.put(name, partial(shutil.copyfile, path))
