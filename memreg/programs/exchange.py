"""`memreg import` and `memreg export`: cells and studies of others, and for others."""

from pathlib import Path
from typing import Any

import click

from memreg import options
from memreg.recipe import Recipe


@click.command(name="import")
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
    from memreg.programs.shown import show_study
    from memreg.show import terminal

    if source.suffix == ".zip":
        if dataset or fields:
            raise click.UsageError(f"{source} says itself what its cells are: leave out what describes them")
        with opened(source) as archive, terminal.Reporter() as progress:
            origin = From(study or archive.study, archive.grid, f"Imported from {source.name}.")
            outcome = bring_in(archive.cells, origin, progress, tracking_uri)
    else:
        if not dataset or "model" not in fields:
            raise click.UsageError("predictions need a --dataset and a --model to be known by")
        origin = From(study or "imported", "imported", f"Imported from {source.name}.")
        with terminal.Reporter() as progress:
            cell = from_outside(read(source), dataset, fields)
            outcome = bring_in([cell], origin, progress, tracking_uri)
    show_study(outcome, progress)


@click.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
@options.TRACKING
def export(name: str, target: Path, tracking_uri: str | None) -> None:
    """Write the cell NAME to TARGET, .npz, .parquet or .zarr, or the study NAME to an archive .zip."""
    if target.exists() or not target.parent.is_dir():
        raise click.UsageError(f"{target} is there already, or its directory is not")
    from memreg.exchange.archive import export_study
    from memreg.exchange.outgoing import writer_of
    from memreg.registry import Registry

    if target.suffix == ".zip":
        export_study(Registry(tracking_uri), name, target)
    else:
        write = writer_of(target)
        write(Registry(tracking_uri).cell(name))
    size = sum(path.stat().st_size for path in (target, *target.rglob("*")) if path.is_file())
    click.echo(f"{target}: {size:,} bytes")
