"""`mlflow run . -e marginal_utility`: what removing memorized examples does to test accuracy."""

from typing import Any

import click

from memreg import options
from memreg.programs import marginal_utility_and_show
from memreg.questions.marginal_utility import Request


@click.command(name="marginal_utility")
@click.option("--cell", required=True, help="A stored cell of design subsets: its hash or its run id.")
@click.option("--dataset", type=options.TEXT, help="The cell's once more, if it is code of yours.")
@click.option("--estimator", type=options.TEXT, help="Who is verified: peers, or CELL[:ESTIMATOR]; peers.")
@click.option("--thresholds", type=options.TEXT, help="Of the score, with commas; or auto.")
@click.option("--members", type=options.COUNT, help="Of every arm; default 100.")
@click.option("--neighbours", type=options.TEXT, help="groups, a cell, or FILE.json; default: the cell.")
@click.option("--margin", type=options.POINTS, help="Largest difference that counts as none; default 0.5.")
@click.option("--design-seed", type=options.SEED, help="Default 0.")
@click.option("--study", type=options.TEXT, help="Name of the study; default: marginal_utility.")
@options.resource_options
def utility(study: str | None, design_seed: int | None, **values: Any) -> None:
    fields = ("cell", "dataset", "estimator", "thresholds", "members", "neighbours", "margin")
    asked = {name: values[name] for name in fields if values[name] is not None}
    request = Request(**asked, seed=design_seed or 0)
    marginal_utility_and_show(request, study or "marginal_utility", values)


if __name__ == "__main__":
    options.run(utility)
