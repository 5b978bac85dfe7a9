"""`mlflow run . -e leave_one_out`: Equation 1 to the letter, for some targets."""

from typing import Any

import click

from memreg import options
from memreg.programs import leave_one_out_and_show
from memreg.questions.leave_one_out import Request
from memreg.recipe import Recipe


@click.command()
@click.option("--cell", required=True, help="A stored cell (hash or run id), or DATASET/MODEL.")
@click.option("--dataset", type=options.TEXT, help="A stored cell's once more, if it is code of yours.")
@click.option("--targets", required=True, help="top:K, random:K, stratified:K, or a file of indices.")
@click.option("--members", type=options.COUNT, help="Without each target; default 100.")
@click.option("--everything", type=options.COUNT, help="Members on everything; default 400.")
@click.option("--group-size", type=options.COUNT, help="Targets left out together; default 1.")
@click.option("--neighbours", type=options.TEXT, help="A cell or FILE.json; default: the cell.")
@click.option("--halfwidth", type=options.SHARE, help="Train until every interval is as narrow as +- this.")
@click.option("--r", type=options.SHARE, help="Inside one fixed subset of this share; default 1.")
@click.option("--design-seed", type=options.SEED, help="Default 0.")
@click.option("--study", type=options.TEXT, help="Name of the study; default: leave_one_out.")
@options.recipe_options
@options.resource_options
def leave_one_out(study: str | None, **values: Any) -> None:
    fields = ("cell", "dataset", "targets", "members", "everything", "group_size", "neighbours")
    fields += ("halfwidth", "r")
    asked = {name: values[name] for name in fields if values[name] is not None}
    recipe = options.given(values, tuple(Recipe.model_fields))
    request = Request(**asked, seed=values["design_seed"] or 0, recipe=tuple(recipe.items()))
    leave_one_out_and_show(request, study or "leave_one_out", values)


if __name__ == "__main__":
    options.run(leave_one_out)
