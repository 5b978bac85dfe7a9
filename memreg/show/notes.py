"""What a run says of itself in the MLflow UI, in Markdown."""

from collections.abc import Mapping
from math import isnan

from memreg.cell import Cell
from memreg.estimators.mixture import FEWEST
from memreg.estimators.statistics import HEADLINE, bound_keys, counted_key, fraction_key
from memreg.grid import Grid


def study(name: str, grid: Grid, conclusion: str | None = None) -> str:
    """Describe a study's run; conclusion: what its correlation says, once it is known."""
    cells = f"{len(grid.cells)} cells of grid `{grid.name}`.\n\n" if len(grid.cells) > 1 else ""
    text = f"## Study {name}\n\n{grid.description.strip()}\n\n{cells}"
    if conclusion is None:
        return text + "No correlation yet."
    return f"{text}{conclusion}\n\nSee `figures/` and `correlation.json`."


def cell(cell: Cell, parameters: int | None, metrics: Mapping[str, float]) -> str:
    """Describe a cell's run; parameters: of its model, where known."""
    recipe = cell.recipe
    test = metrics["test_accuracy"]
    tested = "A" if isnan(test) else f"Test accuracy {test:.2%}; a"
    size = "" if parameters is None else f"{parameters:,} parameters, "
    fields = "\n".join(f"| {key} | {value} |" for key, value in cell.params().items())
    scored = (
        f", on excluded ones {metrics['excluded_accuracy']:.2%}. Mean memorization score "
        f"{metrics['mean_score']:.4f}. {memorized_in_words(metrics)}"
    )
    return (
        f"## {recipe.model} on {cell.dataset}\n\n"
        f"{size}{metrics['members']:.0f} members. {tested}ccuracy on included examples "
        f"{metrics['included_accuracy']:.2%}{'.' if isnan(metrics['mean_score']) else scored}\n\n"
        "Each member's scalars are the series `member/...` (step = member index); its prediction on every "
        f"example is in `predictions/`.\n\n| field | value |\n| --- | --- |\n{fields}\n"
    )


def memorized_in_words(metrics: Mapping[str, float]) -> str:
    """What share of the examples is memorized, and what was counted, from a cell's metrics."""
    counted = f"{metrics[counted_key(HEADLINE)]:.2%} of the noisy scores are {HEADLINE} or more"
    share = metrics.get(fraction_key(HEADLINE))
    if share is None:
        return f"{counted[0].upper()}{counted[1:]}, which is not the share of the true ones."
    if isnan(share):
        return (
            f"The memorized fraction is withheld: it takes {FEWEST} members that include an example and "
            f"{FEWEST} that exclude it."
        )
    low, high = (metrics[key] for key in bound_keys(HEADLINE))
    return (
        f"{share:.2%} [{low:.2%}, {high:.2%}] of the examples are memorized (true score {HEADLINE} or more); "
        f"{counted}."
    )
