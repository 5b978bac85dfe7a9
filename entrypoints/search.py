"""`mlflow run . -e search`: recipes that fill a range of test accuracy evenly, or the best one."""

import re
from typing import Any

import click

from memreg import options
from memreg.programs import search_and_show
from memreg.questions.search import request

ASKED = ("dataset", "mode", "targets", "low", "high", "tolerance", "members", "trials", "space", "noise")
ASKED += ("budget", "storage")


@click.command()
@click.option("--dataset", required=True)
@click.option("--mode", type=options.TEXT, help="fill (the default) targets, or optimize test accuracy.")
@click.option("--targets", type=options.COUNT, help="Evenly from low to high; default 19.")
@click.option("--low", type=options.SHARE, help="The lowest target, a test accuracy.")
@click.option("--high", type=options.SHARE, help="The highest target.")
@click.option("--tolerance", type=options.SHARE, help="How far a cell may be from its target; default 0.01.")
@click.option("--members", type=options.COUNT, help="Of a cell that is not stopped early; default 40.")
@click.option("--trials", type=options.COUNT, help="At most; default 100.")
@click.option("--space", type=options.TEXT, help="A shipped space's name, or the path of a file.")
@click.option("--noise", type=options.SHARE, help="Let up to this share of the training labels be wrong.")
@click.option("--budget", type=options.COUNT, help="Parameters that a model may have.")
@click.option("--study", type=options.TEXT, help="Name of the study; default: search-DATASET.")
@click.option("--storage", type=options.TEXT, help="URL of Optuna's; default: beside the tracking database.")
@options.resource_options
def search(study: str | None, **values: Any) -> None:
    asked = request(**{name: values[name] for name in ASKED if values[name] is not None})
    search_and_show(asked, study or f"search-{re.sub('[^A-Za-z0-9._-]+', '-', asked.dataset)}", values)


if __name__ == "__main__":
    options.run(search)
