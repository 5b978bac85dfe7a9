"""`mlflow run . -e corr_grid`: train a grid of cells, and correlate memorization with test accuracy."""

from typing import Any

import click

from memreg import options
from memreg.grid import load_grid
from memreg.programs import train_and_show


@click.command()
@click.option("--grid", default="digits", help="A shipped grid's name, or the path of a grid file.")
@click.option("--members", type=options.COUNT, help="Members of every cell; default: the grid's.")
@click.option("--study", type=options.TEXT, help="Name of the study; default: the grid's.")
@options.resource_options
def corr_grid(grid: str, members: int | None, study: str | None, **values: Any) -> None:
    train_and_show(load_grid(grid, members), study, values)


if __name__ == "__main__":
    options.run(corr_grid)
