"""What a run says of itself in the MLflow UI, in Markdown."""

from collections.abc import Mapping
from math import isnan

from memreg.cell import Cell
from memreg.grid import Grid
from memreg.questions.correlation import Correlation
from memreg.questions.memorization import memorized_in_words
from memreg.show.conclusions import in_words


def study(name: str, grid: Grid, correlation: Correlation | None = None) -> str:
    cells = f"{len(grid.cells)} cells of grid `{grid.name}`.\n\n" if grid.cells else ""
    text = f"## Study {name}\n\n{grid.description.strip()}\n\n{cells}"
    if correlation is None:
        return text + "No correlation yet."
    return text + in_words(correlation) + "\n\nSee `figures/` and `correlation.json`."


def cell(cell: Cell, parameters: int | None, metrics: Mapping[str, float]) -> str:
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
