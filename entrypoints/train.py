"""`mlflow run . -e train`: train the members of one cell."""

from typing import Any

import click

from memreg import options
from memreg.grid import Grid, plan_cell
from memreg.programs import train_and_show, with_neighbours


@click.command()
@click.option("--dataset", required=True)
@click.option("--members", type=options.COUNT, default=40)
@click.option("--study", type=options.TEXT, help="Name of the study; default: train.")
@options.cell_options
@options.resource_options
def train(members: int | None, study: str | None, **values: Any) -> None:
    plan = plan_cell({"members": members or 40, **with_neighbours(options.given(values))}, "train")
    train_and_show(Grid("train", "One cell.", (plan,)), study, values)


if __name__ == "__main__":
    options.run(train)
