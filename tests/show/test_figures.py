"""Figures where there is little to draw: they say so, and names of any length leave room for the axes."""

import warnings

import numpy as np
import pandas as pd
import pytest

from memreg.estimators.correlation import pearson
from memreg.estimators.identity import identity as verdict
from memreg.show import figures
from memreg.show.figures.style import save

NAN = float("nan")
KEY = "memorized_fraction/0.25"


def points(values, names=("digits",)):
    n = len(values)
    test = np.linspace(0.6, 0.9, n)
    return pd.DataFrame(
        {
            "dataset": [names[i % len(names)] for i in range(n)],
            "family": "vgg",
            "test_accuracy": test,
            "included_accuracy": test + np.linspace(0.3, 0.1, n),
            KEY: values,
        }
    )


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def drawn(figure, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, path / "figure.png")
    return figure


def r_of(table):
    known = table.dropna()
    return pearson(known["test_accuracy"].to_numpy(), known[KEY].to_numpy())


def test_a_statistic_that_no_cell_has_is_said_and_not_drawn(tmp_path):
    table = points([NAN] * 5)
    for figure in (figures.correlation(table, KEY, r_of(table)), identity(table)):
        (said,) = texts(drawn(figure, tmp_path))
        assert said.startswith("None of 5 cells has both test accuracy and")


def identity(table):
    test, statistic, included = (table[k].to_numpy() for k in ("test_accuracy", KEY, "included_accuracy"))
    what = verdict(test, statistic, included, threshold=0.25)
    return figures.identity(table, KEY, what)


@pytest.mark.parametrize("count", [1, 8, 30])
def test_long_names_of_data_sets_leave_room_for_the_axes(tmp_path, count):
    names = [f"folder:/a/long/way/to/the/directory/of/the/images/of/experiment-{i}" for i in range(count)]
    table = points(np.linspace(0.3, 0.1, 30), names)
    figure = drawn(figures.correlation(table, KEY, r_of(table)), tmp_path)
    (axes,) = figure.axes
    assert axes.get_position().width > 0.3
    assert axes.get_position().height > 0.5
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == names[0] if len(names[0]) <= 36 else labels[0].endswith("experiment-0")
    assert ("and 22 more data sets" in labels) == (count == 30)


def test_arms_of_one_threshold_stand_beside_each_other(tmp_path):
    arms = ("scored", "random", "verified")
    table = pd.DataFrame(
        {
            "images": "all",
            "threshold": 0.25,
            "arm": arms,
            "difference": [1.0, 1.1, 1.0],
            "difference_low": 0.5,
            "difference_high": 1.5,
        }
    )
    (axes,) = drawn(figures.marginal_utility(table, 0.5), tmp_path).axes
    assert tuple(tick.get_text() for tick in axes.get_xticklabels()) == arms
