"""The table of scores, for a terminal of any width: columns are left out whole, nothing in them is cut."""

from collections.abc import Iterable

import pandas as pd

ALWAYS = ("example", "label", "clean_label", "source_label", "file", "score", "low", "high")


def score_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """The columns as text. table: as scores.parquet, or with what examples.parquet knows."""
    return {str(name): [_text(value) for value in table[name]] for name in table}


def left_out(names: Iterable[str]) -> list[str]:
    """In this order, until the rest fits: from the last on, but for ALWAYS."""
    return [name for name in reversed(list(names)) if name not in ALWAYS]


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    return str(value)
