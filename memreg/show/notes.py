"""What a run says of itself in the MLflow UI, in Markdown: the answer, its numbers, then all the rest.

`report.html` is made of the same texts, and finds their parts with `parts`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import pandas as pd

from memreg.cell import Cell
from memreg.design import CHOSEN, of_chosen
from memreg.estimators.mixture import FEWEST
from memreg.estimators.statistics import HEADLINE, bound_keys, counted_key, fraction_key
from memreg.grid import Grid
from memreg.wording import counted

IN_FULL = "### In full"
WARNING = "Warning"
MOST_WARNED = 5
NUMBERS = "| number | what it is |\n| --- | --- |\n"

Numbers = Sequence[tuple[str, str]]
"""A value, with its interval where it has one, and what it is."""


@dataclass(frozen=True)
class Parts:
    """Of a description, each in Markdown and "" where it is missing."""

    answer: str
    numbers: str
    about: str
    in_full: str


def answered(short: str, numbers: Numbers = (), full: str = "") -> str:
    """An answer: what it says in short, with warnings set off, the numbers that matter, and everything.

    short: a paragraph a line; those that begin with "Warning" are warnings.
    """
    said = [_set_off(line) if line.startswith(WARNING) else line for line in short.splitlines() if line]
    table = NUMBERS + "\n".join(f"| **{value}** | {what} |" for value, what in numbers)
    return "\n\n".join([*said, *([table] if numbers else []), *([IN_FULL, full] if full else [])])


def _set_off(line: str) -> str:
    return f"> **{WARNING}:**{line.removeprefix(WARNING).removeprefix(':')}"


def parts(note: str) -> Parts:
    """Take a description apart, without its heading."""
    head, _, full = note.partition(IN_FULL)
    blocks = [block for block in head.strip().split("\n\n") if not block.startswith("## ")]
    at = next((i for i, block in enumerate(blocks) if block.startswith("| ")), None)
    if at is None:
        return Parts("\n\n".join(blocks), "", "", full.strip())
    return Parts("\n\n".join(blocks[:at]), blocks[at], "\n\n".join(blocks[at + 1 :]), full.strip())


def study(name: str, grid: Grid, answer: str | None = None, warnings: Sequence[str] = ()) -> str:
    """Describe a study's run; answer: as `answered`, once it is known; warnings: of its members and of the
    command that ran, each as it is said."""
    cells = f" {len(grid.cells)} cells of grid `{grid.name}`." if len(grid.cells) > 1 else ""
    about = f"{grid.description.strip()}{cells}"
    if answer is None:
        return (
            f"## Study {name}\n\nNo answer yet: its cells are in training, or the command stopped.\n\n{about}"
        )
    found = parts(answer)
    full = f"{IN_FULL}\n\n{found.in_full}" if found.in_full else ""
    warned = [_set_off(line) for line in warnings]
    blocks = [f"## Study {name}", found.answer, *warned, found.numbers, about, full]
    return "\n\n".join(filter(None, blocks))


def cells_in_short(table: pd.DataFrame) -> str:
    """What a study says whose cells are too few to correlate. table: as cells.parquet."""
    if table.empty:
        return "No cell has all its members yet."
    if len(table) == 1:
        (row,) = _rows(table)
        of = f"{row['model']} on {row['dataset']}, {counted(row['members'], 'member')}"
        return f"{of}: {_of_one(row, row['design'])}"
    test = table["test_accuracy"].dropna() if "test_accuracy" in table else pd.Series(dtype=float)
    reached = f", with a test accuracy of {_ends(test)}" if len(test) else ""
    return f"{len(table)} cells{reached}. That is too few to correlate memorization with test accuracy."


def cells_in_words(table: pd.DataFrame) -> str:
    """The same in Markdown, with the numbers of a single cell."""
    short = cells_in_short(table)
    return answered(short, _numbers(_rows(table)[0]) if len(table) == 1 else ())


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    unknown = {fraction_key(HEADLINE): float("nan")}  # cells.parquet has no column of what no cell has
    return [unknown | {str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def warned(texts: Iterable[str]) -> list[str]:
    """What a command warned of while it ran, a paragraph each; of more than a few the first, and how many."""
    once = list(dict.fromkeys(" ".join(text.split()) for text in texts))
    said = [f"{WARNING}: {text.rstrip('.')}." for text in once[:MOST_WARNED]]
    if more := len(once) - len(said):
        were = "was" if more == 1 else "were"
        said.append(f"{WARNING}: {counted(more, 'more warning')} {were} given while it ran.")
    return said


def diverged(table: pd.DataFrame) -> str:
    """A warning where members have diverged; "" where none has. table: as cells.parquet."""
    lost = table["diverged"].fillna(0) if "diverged" in table else pd.Series(dtype=float)
    if not (count := int(lost.sum())):
        return ""
    cells = f"{int((lost > 0).sum())} of {len(table)} cells"
    return f"{WARNING}: {counted(count, 'member')} diverged, in {cells}. What diverges counts in no number."


def cell(cell: Cell, parameters: int | None, metrics: Mapping[str, float]) -> str:
    """Describe a cell's run; parameters: of its model, where known."""
    recipe = cell.recipe
    size = "" if parameters is None else f" of {parameters:,} parameters"
    short = f"{counted(metrics['members'], 'network')}{size}: {_of_one(metrics, cell.design.kind)}"
    lost = metrics.get("diverged", 0)
    if lost > 0:
        short += f"\n{WARNING}: {counted(lost, 'more network')} diverged. What diverges counts in no number."
    fields = "\n".join(f"| {key} | {value} |" for key, value in cell.params().items())
    full = (
        f"{accuracies_in_words(metrics)}\n\n"
        "Each member's scalars are the series `member/...` (step = member index); its prediction on every "
        f"example is in `predictions/`.\n\n| field | value |\n| --- | --- |\n{fields}\n"
    )
    return f"## {recipe.model} on {cell.dataset}\n\n{answered(short, _numbers(metrics), full)}"


def _of_one(metrics: Mapping[str, float], design: str) -> str:
    """Test accuracy, and what share of the training examples is memorized. design: its kind."""
    test = metrics.get("test_accuracy", float("nan"))
    said = "no test accuracy is known. " if isnan(test) else f"test accuracy {test:.1%}. "
    if design in CHOSEN:
        return f"{said}No mean score and no share is given: {of_chosen(design)}."
    if isnan(metrics.get("mean_score", float("nan"))):
        return f"{said}No example is both seen by some and left out of others, so that none has a score."
    return said + memorized_in_words(metrics)


def left_out(table: pd.DataFrame) -> str:
    """What a correlation leaves out of these cells, as a warning, else "". table: as cells.parquet."""
    kinds = table.reindex(columns=["design"])["design"]
    if not (count := int(kinds.isin(CHOSEN).sum())):
        return ""
    why = of_chosen(*sorted({*kinds} & {*CHOSEN}))
    return f"{WARNING}: {counted(count, 'cell is', 'cells are')} left out, since {why}."


def memorized_in_words(metrics: Mapping[str, float]) -> str:
    """What share of the examples is memorized, from a cell's metrics."""
    share = metrics.get(fraction_key(HEADLINE))
    if share is None:
        noisy = f"{metrics[counted_key(HEADLINE)]:.1%} of the noisy scores are {HEADLINE} or more"
        return f"{noisy}, which is not the share of the true ones."
    if isnan(share):
        return (
            "How many examples are memorized is not said: that takes "
            f"{FEWEST} members that include an example and {FEWEST} that exclude it."
        )
    low, high = (metrics[key] for key in bound_keys(HEADLINE))
    return (
        f"{share:.1%} [{low:.1%}, {high:.1%}] of the training examples are memorized (true score {HEADLINE} "
        "or more)."
    )


def accuracies_in_words(metrics: Mapping[str, float]) -> str:
    """Accuracy on examples that members saw and did not see, the mean score, and what was counted."""
    said = f"Accuracy on included examples {metrics['included_accuracy']:.2%}"
    if not isnan(metrics["excluded_accuracy"]):
        said += f", on excluded ones {metrics['excluded_accuracy']:.2%}"
    if isnan(metrics["mean_score"]):
        return said + "."
    return (
        f"{said}. Mean memorization score "
        f"{metrics['mean_score']:.4f}. {metrics[counted_key(HEADLINE)]:.2%} of the noisy scores are "
        f"{HEADLINE} or more, which is not the share of the true ones."
    )


def _numbers(metrics: Mapping[str, float]) -> Numbers:
    """Of one cell."""
    known = {
        key: value for key, value in metrics.items() if isinstance(value, int | float) and value == value
    }
    found = []
    if "test_accuracy" in known:
        found.append((f"{known['test_accuracy']:.1%}", "test accuracy, the mean over members"))
    if (key := fraction_key(HEADLINE)) in known:
        low, high = (known[end] for end in bound_keys(HEADLINE))
        what = f"of the training examples are memorized: true score {HEADLINE} or more"
        found.append((f"{known[key]:.0%} [{low:.0%}, {high:.0%}]", what))
    if "mean_score" in known:
        found.append(
            (
                f"{known['mean_score']:.3f}",
                "mean score: accuracy on what members saw, less on what they did not",
            )
        )
    return [*found, (f"{known['members']:.0f}", "members, the networks that all this is measured with")]


def _ends(values: "pd.Series[float]") -> str:
    low, high = values.min(), values.max()
    return f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
