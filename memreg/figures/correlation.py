"""The paper's Figure 3: a statistic of memorization over test accuracy, a point per cell."""

import pandas as pd
from matplotlib.figure import Figure

from memreg.estimators.correlation import Pearson
from memreg.figures.style import cell_legend, cell_points, drawing, label


def correlation(points: pd.DataFrame, statistic: str, r: Pearson) -> Figure:
    """The paper's Figure 3: a statistic of memorization over test accuracy, a point per cell.

    points: a row per cell with `dataset`, `model`, `test_accuracy` and `<statistic>`, both with
    `_low` and `_high`.
    """
    with drawing() as figure:
        axes = figure.subplots()
        cell_points(axes, points, "test_accuracy", statistic)
        axes.set_xlabel("Test accuracy (%)")
        axes.set_ylabel(label(statistic))
        axes.set_title(sentence(r), loc="left", fontsize=11)
        figure.legend(handles=cell_legend(points), loc="outside right upper")
    return figure


def sentence(r: Pearson) -> str:
    """A correlation with its interval, in one line."""
    return f"Pearson r = {r.r:.3f}  [95 %: {r.low:.3f}, {r.high:.3f}],  {r.n} cells"
