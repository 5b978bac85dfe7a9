"""What a run says of itself in the MLflow UI, in Markdown."""

from collections.abc import Mapping

from memreg.analyses.conclusions import in_words
from memreg.analyses.correlation import Correlation
from memreg.cell import Cell
from memreg.grid import Grid


def study(name: str, grid: Grid, correlation: Correlation | None = None) -> str:
    text = (
        f"## Study {name}\n\n{grid.description.strip()}\n\n{len(grid.cells)} cells of grid `{grid.name}`.\n\n"
    )
    if correlation is None:
        return text + "No correlation yet."
    return text + in_words(correlation) + "\n\nSee `figures/` and `correlation.json`."


def cell(cell: Cell, parameters: int | None, metrics: Mapping[str, float]) -> str:
    recipe = cell.recipe
    tested = f"Test accuracy {metrics['test_accuracy']:.2%}; a"
    if metrics["test_accuracy"] != metrics["test_accuracy"]:
        tested = "A"
    size = "" if parameters is None else f"{parameters:,} parameters, "
    fields = "\n".join(f"| {key} | {value} |" for key, value in cell.params().items())
    return (
        f"## {recipe.model} on {cell.dataset}\n\n"
        f"{size}{metrics['members']:.0f} members. {tested}ccuracy on included examples "
        f"{metrics['included_accuracy']:.2%}, "
        f"on excluded ones {metrics['excluded_accuracy']:.2%}. Mean memorization score "
        f"{metrics['mean_score']:.4f}; {metrics['memorized_fraction/0.25']:.2%} of the training examples "
        f"score 0.25 or more.\n\nEach member's scalars are the series `member/...` (step = member index); "
        "its prediction on every example is in `predictions/`.\n\n"
        f"| field | value |\n| --- | --- |\n{fields}\n"
    )
