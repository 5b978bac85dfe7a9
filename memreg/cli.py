"""`memreg`: queries, a study on one page, what a grid will cost, and exchange with others."""

from pathlib import Path
from typing import Any

import click

from memreg import options
from memreg.engines import Resources
from memreg.recipe import Recipe
from memreg.show import terminal
from memreg.studies import costs


@click.group(context_settings=options.SETTINGS)
@click.version_option(package_name="memreg", message="%(prog)s %(version)s")
def memreg() -> None:
    """Query the registry of memorization experiments, and plan new ones."""


@memreg.command()
@click.option("--study", help="Name or run id; default: every complete cell.")
@click.option("--csv", is_flag=True, help="All columns, as CSV.")
@options.TRACKING
def cells(study: str | None, csv: bool, tracking_uri: str | None) -> None:
    """One line per cell."""
    from memreg.registry import Registry

    table = Registry(tracking_uri).cells(study)
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
    elif table.empty:
        click.echo("no complete cells yet: `make corr_grid` trains 19")
    else:
        terminal.show_cells(table)


@memreg.command()
@click.argument("cell")
@click.option("--top", default=20, type=click.IntRange(min=1), help="Rows, highest scores first.")
@click.option("--csv", is_flag=True, help="All examples in their order, as CSV.")
@options.TRACKING
def scores(cell: str, top: int, csv: bool, tracking_uri: str | None) -> None:
    """Memorization scores of CELL: its hash, the head of it, or its run id."""
    from memreg.registry import Registry

    table = Registry(tracking_uri).scores(cell)
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        click.echo(table.nlargest(top, "score").to_string(index=False, float_format="%.3f"))


@memreg.command(name="import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dataset", help="Of predictions: what to call their data set.")
@options.fields_of(tuple(Recipe.model_fields), required=False)
@click.option("--study", help="Default: imported, or what an archive says.")
@options.TRACKING
def import_(
    source: Path, dataset: str | None, study: str | None, tracking_uri: str | None, fields: dict[str, Any]
) -> None:
    """Bring in SOURCE: an archive of `export`, or predictions of others (docs/import.md)."""
    from memreg.exchange.archive import opened
    from memreg.exchange.incoming import From, bring_in, from_outside
    from memreg.exchange.layouts import read

    if source.suffix == ".zip":
        if dataset or fields:
            raise click.UsageError(f"{source} says itself what its cells are: leave out what describes them")
        with opened(source) as archive, terminal.Reporter() as progress:
            origin = From(study or archive.study, archive.grid, f"Imported from {source.name}.")
            table = bring_in(archive.cells, origin, progress, tracking_uri)
    else:
        if not dataset or "model" not in fields:
            raise click.UsageError("predictions need a --dataset and a --model to be known by")
        cell = from_outside(read(source), dataset, fields)
        origin = From(study or "imported", "imported", f"Imported from {source.name}.")
        with terminal.Reporter() as progress:
            table = bring_in([cell], origin, progress, tracking_uri)
    terminal.show_cells(table)


@memreg.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
@options.TRACKING
def export(name: str, target: Path, tracking_uri: str | None) -> None:
    """Write the cell NAME to TARGET, .npz, .parquet or .zarr, or the study NAME to an archive .zip."""
    from memreg.exchange.archive import export_study
    from memreg.exchange.outgoing import writer_of
    from memreg.registry import Registry

    if target.exists() or not target.parent.is_dir():
        raise click.UsageError(f"{target} is there already, or its directory is not")
    if target.suffix == ".zip":
        export_study(Registry(tracking_uri), name, target)
    else:
        write = writer_of(target)
        write(Registry(tracking_uri).cell(name))
    size = sum(path.stat().st_size for path in (target, *target.rglob("*")) if path.is_file())
    click.echo(f"{target}: {size:,} bytes")


@memreg.command()
@options.asking(costs.Request, Resources, without=("gpus",))
def plan(request: costs.Request, resources: Resources) -> None:
    """What a grid will cost: members, images, storage, and time after a few steps of each model."""
    click.echo(costs.costs(request, resources))


@memreg.command()
@click.argument("study")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Default: MEMREG_DATA_DIR, else ./data.")
@options.TRACKING
def report(study: str, data_dir: Path | None, tracking_uri: str | None) -> None:
    """Make the page of STUDY again, report.html of its run, with the analyses since made of its cells."""
    from memreg.data.stored import images_of
    from memreg.registry import Registry, Store
    from memreg.show.report import write_report

    registry = Registry(tracking_uri)
    run = Store(tracking_uri).run(registry.study_run(study).info.run_id)
    write_report(run, registry, lambda cell: images_of(cell, data_dir))
    click.echo(f"report.html of run {run.run_id}")


@memreg.command()
@click.argument("old")
@click.argument("new")
@options.TRACKING
def relocate(old: str, new: str, tracking_uri: str | None) -> None:
    """Let runs whose artifacts were in directory OLD have them in NEW, after a project was moved."""
    from memreg.registry.relocation import relocate

    click.echo(relocate(old, new, tracking_uri).in_words())


@memreg.group()
def db() -> None:
    """The tracking database."""


@db.command()
@options.TRACKING
def init(tracking_uri: str | None) -> None:
    """Create the tracking database, unless there is one; an SQLite one completely or not at all."""
    from memreg.registry.connection import connect

    connect(tracking_uri, create=True)


@db.command()
@click.option("--wal", is_flag=True, help="Also switch SQLite to its write-ahead log: local disks only.")
@options.TRACKING
def tune(wal: bool, tracking_uri: str | None) -> None:
    """Give the database's planner statistics, which MLflow never does, and say what that gained."""
    from memreg.registry.tuning import tune

    click.echo(tune(tracking_uri, wal))


def main() -> None:
    options.run(memreg)
