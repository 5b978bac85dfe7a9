"""What a person reads off the figure of errors over cost."""

from itertools import pairwise

import pandas as pd
import pytest

from memreg.show import figures


@pytest.mark.parametrize("costs", [(1.4, 70), (0.7, 9), (1.3, 5), (1.3, 920), (0.7, 14_000)])
def test_costs_are_plain_numbers_that_do_not_overlap(costs):
    table = pd.DataFrame({"proxy": "aum", "cost": costs, "error": [0.2, 0.1], "floor": 0.01})
    table = table.assign(error_low=table["error"], error_high=table["error"], constant_error=0.25)
    figure = figures.leaderboard(table, "a board")
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    seen = [
        label
        for label in (*axes.get_xticklabels(), *axes.get_xticklabels(minor=True))
        if label.get_text() and low <= label.get_position()[0] <= high
    ]
    assert len(seen) >= 2
    assert all(float(label.get_text().replace(",", "")) == label.get_position()[0] for label in seen)
    boxes = sorted((label.get_window_extent() for label in seen), key=lambda box: box.x0)
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
