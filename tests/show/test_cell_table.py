"""The table of cells at any width of the terminal."""

from itertools import pairwise

import pandas as pd
import pytest
from rich.console import Console

from memreg.show import terminal
from memreg.show.cell_table import ALWAYS, cell_columns, fitting

ROWS = [
    {
        "cell": f"{i}a2b3c4d{i}e5f60718",
        "dataset": "digits+subset=300+noise=0.2",
        "model": "vgg3-w128",
        "weight_decay": 0.0005,
        "augmentation": 1.0,
        "parameters": 1_234_567.0,
        "members": 1000.0,
        "test_accuracy": 0.9 - i / 10,
        "included_accuracy": 0.999,
        "excluded_accuracy": 0.8,
        "mean_score": 0.1234,
        "memorized_fraction/0.25": 0.123,
        "epochs": 10 + i,
        "design": "subsets",
        "study": "mine",
    }
    for i in range(3)
]


def printed(monkeypatch, capsys, width):
    monkeypatch.setattr(
        terminal, "console", lambda: Console(width=width, force_terminal=True, color_system=None)
    )
    terminal.show_cells(pd.DataFrame(ROWS))
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_at_any_width(monkeypatch, capsys, width):
    out = printed(monkeypatch, capsys, width)
    lines = out.splitlines()
    assert all(len(line) <= width for line in lines)
    columns = cell_columns(pd.DataFrame(ROWS))
    for name in fitting(columns, width):
        assert name in lines[0]
        assert all(value in out for value in columns[name])
    for name in set(columns) - set(fitting(columns, width)):
        assert name in " ".join(lines[4:])
    assert "…" not in out


def test_columns_are_left_out_in_a_fixed_order_and_some_never():
    columns = cell_columns(pd.DataFrame(ROWS))
    shown = [set(fitting(columns, width)) for width in range(20, 200)]
    assert all(set(ALWAYS) <= names for names in shown)
    assert all(narrow <= wide for narrow, wide in pairwise(shown))
    assert shown[-1] == set(columns)


def test_what_tells_cells_apart_is_a_column_and_what_they_share_is_none():
    columns = cell_columns(pd.DataFrame(ROWS))
    assert columns["epochs"] == ["10", "11", "12"]
    assert not {"design", "study", "r"} & set(columns)


def test_cells_without_test_accuracy_are_shown():
    columns = cell_columns(pd.DataFrame(ROWS).drop(columns="test_accuracy"))
    assert columns["test"] == ["-"] * 3
