"""What a page is told: plain values for JSON, and columns of numbers for `packed`."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.statistics import HEADLINE, fraction_key
from memreg.registry import Registry, StoredCell
from memreg.registry.tables import PRIVACY, PRIVACY_QUERIES
from memreg.scoring.label_check import label_check
from memreg.show.labelled import called

LISTED = ("dataset", "model", "design", "members", "test_accuracy", "included_accuracy", "mean_score",
          fraction_key(HEADLINE))  # fmt: skip
SCORED = (
    "score",
    "low",
    "high",
    "included_count",
    "excluded_count",
    "included_accuracy",
    "excluded_accuracy",
)
CHECKED = ("example", "proposed", "agreement", "label_agreement", "low", "margin", "excluded_count")
LEAVE_ONE_OUT = "leave_one_out"

Columns = dict[str, NDArray[Any]]
"""By name, of one length."""


def cell_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Cells as a list, from a frame of `Registry.cells`."""
    return plain(table.reindex(columns=["run_id", "cell", "study", *LISTED]))


def about(cell: StoredCell, alike: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a cell is. alike: rows of the cells that have its data set, itself among them."""
    return {
        "cell": cell.hash,
        "dataset": cell.cell.dataset,
        "model": cell.cell.recipe.model,
        "n_train": cell.n_train,
        "n_test": len(cell.labels) - cell.n_train,
        "members": cell.metrics.get("members"),
        "test_accuracy": cell.metrics.get("test_accuracy"),
        "included_accuracy": cell.metrics.get("included_accuracy"),
        "classes": class_names(cell),
        "labels_known": cell.labels_known,
        "estimators": estimators(cell),
        "alike": list(alike),
    }


def class_names(cell: StoredCell) -> list[str]:
    """By label: what the data calls each class, else its number."""
    return [called(cell, label) for label in range(int(cell.labels.max()) + 1)]


def estimators(cell: StoredCell) -> list[str]:
    """Names by which `StoredCell.scores` has this cell's scores, "" for Feldman & Zhang's."""
    found = [name.removeprefix("scores").removesuffix(".parquet").removeprefix("-")
             for name in cell.artifacts.names("", ".parquet") if name.startswith("scores")]  # fmt: skip
    return [name for name in sorted(found) if name not in (PRIVACY, PRIVACY_QUERIES)]


def score_columns(cell: StoredCell, estimator: str | None) -> Columns:
    """Of SCORED what the estimator says of each training example, [n_train], NaN where it says nothing."""
    table = cell.scores(estimator).set_index("example").reindex(range(cell.n_train))
    return {name: table[name].to_numpy(float) for name in SCORED if name in table}


def example_columns(cell: StoredCell) -> Columns:
    """`label` of each training example and, where known, `clean_label` and `group`, [n_train]."""
    rows = cell.examples.iloc[: cell.n_train]
    return {name: rows[name].to_numpy(int) for name in ("label", "clean_label", "group") if name in rows}


def label_columns(cell: StoredCell) -> Columns:
    """Of CHECKED what `label_check` says, a row per example that is probably mislabelled.

    Raises `MemregError` where nobody can check.
    """
    table = label_check(cell)
    return {name: table.loc[table["low"] > 0, name].to_numpy() for name in CHECKED}


def files(cell: StoredCell, examples: Iterable[int]) -> list[str]:
    """Files of training examples, where they have one."""
    if "file" not in cell.examples:
        return []
    return [str(file) for file in cell.examples["file"].iloc[list(examples)]]


def studies(registry: Registry) -> list[dict[str, Any]]:
    """Studies of the registry, newest first, one of each name."""
    found: dict[str, dict[str, Any]] = {}
    for run in registry.study_runs():
        name = run.data.tags["memreg.study"]
        note = run.data.tags.get("mlflow.note.content", "")
        lines = [line for line in note.splitlines() if line.strip() and not line.startswith("#")]
        found.setdefault(
            name, {"study": name, "began": run.info.start_time, "says": (lines or [""])[0][:300]}
        )
    return list(found.values())


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON has them: numbers that are not known are null."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def first_scores(cell: StoredCell) -> str | None:
    """The estimator to begin with: Feldman & Zhang's where it says something, else leave-one-out's, else any.

    Raises `MemregError` where the cell has no scores.
    """
    known = estimators(cell)
    for name in (name for name in dict.fromkeys(("", LEAVE_ONE_OUT, *known)) if name in known):
        with suppress(MemregError):  # from fewer members than the cell has now
            if cell.scores(name or None)["score"].notna().any():
                return name or None
    raise MemregError(
        f"{cell} has no scores: its members leave no example out, or it waits to be scored anew"
    )
