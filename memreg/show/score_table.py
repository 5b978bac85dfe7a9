"""The table of scores, for a terminal of any width: columns are left out whole, nothing in them is cut."""

from collections.abc import Iterable

import pandas as pd

from memreg.registry.stored_cell import NO_LABEL
from memreg.show.labelled import UNKNOWN

ALWAYS = ("example", "label", "clean_label", "source_label", "file", "score", "low", "high")


def score_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """The columns as text. table: as scores.parquet, or with what examples.parquet knows."""
    texts = {str(name): [_text(value) for value in table[name]] for name in table}
    if "label" in table and (table["label"] == NO_LABEL).all():
        texts["label"] = [UNKNOWN] * len(table)
    return texts


def left_out(names: Iterable[str]) -> list[str]:
    """In this order, until the rest fits: from the last on, but for ALWAYS."""
    return [name for name in reversed(list(names)) if name not in ALWAYS]


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    return str(value)
