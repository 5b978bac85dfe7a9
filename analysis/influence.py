"""`mlflow run . -e influence`: which training examples help which test examples, from stored predictions."""

import click

from memreg import options
from memreg.questions.influence import THRESHOLD, influences, log_influence
from memreg.registry import Registry, Store
from memreg.registry.store import ended
from memreg.show import terminal


@click.command()
@click.option("--cell", required=True, help="A cell's hash, the head of it, or its run id.")
@click.option("--threshold", type=options.SHARE, help=f"Least influence of a pair in the table; {THRESHOLD}.")
def influence(cell: str, threshold: float | None) -> None:
    result = influences(Registry(), cell, threshold or THRESHOLD)
    tags = {"memreg.cells": result.cell.hash}
    with ended(Store().open_run("analysis", f"influence of {cell}", tags)) as run:
        log_influence(run, result)
    terminal.say(result.in_words())


if __name__ == "__main__":
    options.run(influence)
