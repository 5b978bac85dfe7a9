"""The wide frame: one row per run, a column per param and metric."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.design import CHOSEN
from memreg.errors import MemregError
from memreg.estimators.statistics import OF_LEFT_OUT

SERIES = ("member/", "epoch/")
"""Metrics of single members and of epochs, of which MLflow gives the last value."""
IDENTITY = ("run_id", "cell", "study")
TEXT = ("dataset", "model", "design")
"""Params that stay text, whatever they look like."""


METRICS, METRICS_SCHEMA = "memreg.metrics", "2"
"""Tag of a cell whose metrics have this meaning. Before, memorized fractions were counted ones."""
RENAMED = ("memorized_fraction/", "counted_fraction/")
"""What metrics of that time are called, and what they are."""

Value = tuple[str, str, str | None, float | None]
"""(run id, key, text of a param or None, number of a metric). A NaN may be None: a frame does not tell it
from a metric that is not there."""


@dataclass
class Wide:
    """n runs. Every column has n entries, None or NaN where a run has no such value."""

    run_id: list[str]
    cell: list[str | None]
    study: list[str | None]
    schema: list[str | None]
    """Of the metrics, as tagged."""
    params: dict[str, list[str | None]] = field(default_factory=dict)
    metrics: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def fill(self, values: Iterable[Value]) -> Self:
        """Put every value in its place; values of other runs are passed over."""
        rows = {run_id: row for row, run_id in enumerate(self.run_id)}
        n = len(rows)
        for run_id, key, text, number in values:
            row = rows.get(run_id)
            if row is None:
                continue
            if text is None and self.schema[row] != METRICS_SCHEMA:
                key = key.replace(*RENAMED)
            if text is not None:
                column = self.params.get(key)
                if column is None:
                    column = self.params[key] = [None] * n
                column[row] = text
            else:
                numbers = self.metrics.get(key)
                if numbers is None:
                    numbers = self.metrics[key] = np.full(n, np.nan)
                if number is not None:
                    numbers[row] = number
        return self


def stored_names(columns: Iterable[str]) -> list[str]:
    """The names under which columns may be stored, and of what says what they mean."""
    names = list(columns)
    earlier = [name.replace(*RENAMED[::-1]) for name in names if name.startswith(RENAMED[1])]
    return [*names, *earlier, *(["design"] if any(name.startswith(OF_LEFT_OUT) for name in names) else [])]


def frame(wide: Wide, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """`run_id`, `cell`, `study`, `dataset`, `model`, the other params and then the metrics, each by name.

    MLflow keeps params as text: a param whose every value is a number becomes a column of numbers. It
    keeps infinities as the largest floats: they become infinities again. A metric hides a param of its
    name. What is of examples that members leave out is NaN where these were chosen (`CHOSEN`), of cells
    that earlier versions stored too. Without `columns`, series over members and epochs are left out: MLflow
    gives the last value of each. `columns` chooses; one that no run has raises `MemregError`, unless there
    are no runs.
    """
    content: dict[str, object] = {key: getattr(wide, key) for key in IDENTITY}
    for key in sorted(wide.params, key=lambda key: (key not in TEXT[:2], key)):
        if key not in content and key not in wide.metrics:
            content[key] = _numbers(key, pd.Series(wide.params[key]))
    chosen = np.array([kind in CHOSEN for kind in wide.params.get("design", [])])
    for key in sorted(wide.metrics):
        if key not in IDENTITY and (columns is not None or not key.startswith(SERIES)):
            values = _with_infinities(wide.metrics[key])
            if key.startswith(OF_LEFT_OUT) and chosen.any():
                values = np.where(chosen, np.nan, values)
            content[key] = values
    table = pd.DataFrame(content)
    if columns is None:
        return table
    for name in columns:
        if name not in table and len(table):
            raise MemregError(f"no cell here has a param or metric '{name}': docs/registry.md lists them")
    return table.reindex(columns=[*IDENTITY, *(c for c in columns if c not in IDENTITY)])


def _numbers(key: str, values: "pd.Series[str]") -> "pd.Series[float] | pd.Series[str]":
    if key in TEXT:
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers if (numbers.notna() == values.notna()).all() else values


def _with_infinities(values: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.abs(values) >= sys.float_info.max
    return np.where(largest, np.copysign(np.inf, values), values)
