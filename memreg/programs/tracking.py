"""`memreg db` and `memreg relocate`: the tracking database, and where its artifacts are."""

import click

from memreg import options


@click.command()
@click.argument("old")
@click.argument("new")
@options.TRACKING
def relocate(old: str, new: str, tracking_uri: str | None) -> None:
    """Let runs whose artifacts were in directory OLD have them in NEW, after a project was moved."""
    from memreg.registry import relocation

    click.echo(relocation.relocate(old, new, tracking_uri).in_words())


@click.group()
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
    from memreg.registry import tuning

    click.echo(tuning.tune(tracking_uri, wal))
