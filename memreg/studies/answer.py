"""What every question answers, and how an answer is kept: one protocol, one function."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from memreg.registry import RunWriter, Store
from memreg.registry.tags import cells_tags
from memreg.registry.writers import ended
from memreg.show import figures


class Answer(Protocol):
    """What a question answers, in the forms in which MLflow keeps it."""

    @property
    def cells(self) -> Sequence[str]:
        """Hashes of the stored cells that the answer is computed from."""

    def in_words(self) -> str:
        """All that it says, in Markdown, as `memreg.show.notes.answered`: first what it says in short."""

    def in_short(self) -> str:
        """What it says in a sentence or two, for a terminal."""

    def metrics(self) -> Mapping[str, float]:
        """Its numbers, by their MLflow names; NaN for those that cannot be known."""

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        """Tables by the name of their Parquet artifact, and texts by that of theirs."""

    def figures(self) -> Mapping[str, Figure]:
        """By the name of their artifact, without folder and suffix."""


def log(run: RunWriter, answer: Answer) -> dict[str, str]:
    """Keep an answer in a run: metrics, tables, figures, and the cells that it is about as `memreg.cells`.

    `memreg report` finds the analyses of a study's cells by that tag. Returns where to see the first figure,
    as `figure`, if there is one.
    """
    metrics, tables = answer.metrics(), answer.tables()
    if tables:
        known = {key for key, value in metrics.items() if value == value}
        run.withdraw(lambda key: key not in known)
    run.log(metrics=metrics, tags=cells_tags(answer.cells))
    for name, table in tables.items():
        run.artifacts.put(name, _text(table) if isinstance(table, str) else table.to_parquet)
    drawn = {f"figures/{name}.png": figure for name, figure in answer.figures().items()}
    for name, figure in drawn.items():
        run.artifacts.put(name, partial(figures.save, figure))
    return {"figure": run.where(next(iter(drawn)))} if drawn else {}


def log_analysis(answer: Answer, title: str, tracking_uri: str | None = None) -> dict[str, str]:
    """Keep an answer in a run of its own: the one that `mlflow run` opened, or a fresh one.

    Returns where to see it: the first figure, if there is one, and the run.
    """
    with ended(Store(tracking_uri).open_run("analysis", title[:200], {})) as run:
        see = log(run, answer)
        run.log(note=answer.in_words())
        return see | {"run": run.link}


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")
