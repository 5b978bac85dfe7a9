"""The table of scores at any width: what says which example, its score and its interval stay whole."""

import pandas as pd
import pytest

from memreg.show.cell_table import GAP, fitting
from memreg.show.score_table import ALWAYS, left_out, score_columns

TABLE = pd.DataFrame(
    {
        "example": [7, 12],
        "label": [0, 1],
        "file": ["train/a/1.png", "train/b/22.png"],
        "score": [0.98765, float("nan")],
        "standard_error": [0.01, float("nan")],
        "low": [0.5, float("nan")],
        "high": [1.0, float("nan")],
        "included_count": [28, 28],
        "peers": [2, 0],
    }
)


@pytest.mark.parametrize("width", [20, 60, 80, 100, 200])
def test_columns_go_from_the_last_on(width):
    columns = score_columns(TABLE)
    shown = fitting(columns, width, left_out(columns))
    assert set(shown) >= set(TABLE) & {*ALWAYS}
    assert (shown == list(TABLE)) == (width == 200 or width == 100)
    taken = sum(max(len(name), *map(len, columns[name])) + GAP for name in shown)
    assert taken <= width or set(shown) == set(TABLE) & {*ALWAYS}
    gone = [name for name in TABLE if name not in shown]
    assert gone == left_out(columns)[: len(gone)][::-1]


def test_a_number_has_three_decimals_and_none_is_a_dash():
    columns = score_columns(TABLE)
    assert columns["score"] == ["0.988", "-"]
    assert columns["included_count"] == ["28", "28"]
