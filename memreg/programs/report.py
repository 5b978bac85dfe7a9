"""`memreg report`: make the page of a study again."""

from pathlib import Path

import click

from memreg import options


@click.command()
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
