"""The table of cells, for a terminal of any width: whole columns are left out, and nothing in them is cut."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from memreg.estimators.statistics import HEADLINE, fraction_key

FRACTION = fraction_key(HEADLINE)
ALWAYS = ("data set", "model", "test", "memorized", "hash")
LEFT_OUT = (
    "incl.",
    "excl.",
    "mean score",
    "parameters",
    "members",
    "augm.",
    "weight decay",
    "r",
    "design",
    "study",
    "learning rate",
    "batch size",
    "epochs",
)
"""In this order, until the rest fits."""
VARIED = ("epochs", "batch_size", "learning_rate", "design", "r", "study")
"""Shown only where they tell cells apart."""
GAP = 2


def cell_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """The columns as text, a value for each cell, in order of test accuracy. table: as cells.parquet."""
    table = table if "test_accuracy" in table else table.assign(test_accuracy=float("nan"))
    rows = table.sort_values("test_accuracy", ascending=False).to_dict("records")
    columns = {
        "data set": [row["dataset"] for row in rows],
        "model": [row["model"] for row in rows],
    }
    for key in VARIED:
        values = [number(row.get(key), "g") for row in rows]
        if len(set(values)) > 1:
            columns[key.replace("_", " ")] = values
    return columns | {
        "weight decay": [number(row.get("weight_decay"), "g") for row in rows],
        "augm.": [number(row.get("augmentation"), "g") for row in rows],
        "parameters": [number(row.get("parameters"), ",.0f") for row in rows],
        "members": [number(row.get("members"), ".0f") for row in rows],
        "test": [percent(row.get("test_accuracy")) for row in rows],
        "incl.": [percent(row.get("included_accuracy")) for row in rows],
        "excl.": [percent(row.get("excluded_accuracy")) for row in rows],
        "mean score": [number(row.get("mean_score")) for row in rows],
        "memorized": [percent(row.get(FRACTION)) for row in rows],
        "hash": [row["cell"][:8] for row in rows],
    }


def fitting(
    columns: Mapping[str, Sequence[str]], width: int, left_out: Iterable[str] = LEFT_OUT
) -> list[str]:
    """Names of the columns that are shown at this width, in their order; left_out: the first to go first."""
    widths = {name: max(len(name), *map(len, values), 0) for name, values in columns.items()}
    kept = list(columns)
    for name in left_out:
        if sum(widths[k] + GAP for k in kept) <= width:
            break
        if name in kept:
            kept.remove(name)
    return kept


def percent(value: float | None) -> str:
    """A share in percent; "-" where there is none."""
    return number(value, ".1%")


def number(value: float | str | None, form: str = ".4f") -> str:
    """A number as text; "-" where there is none."""
    if isinstance(value, str):  # an augmentation of the user's among strengths
        return value
    return "-" if value is None or value != value else f"{value:{form}}"
