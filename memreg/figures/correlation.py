"""The paper's Figure 3: a statistic of memorization over test accuracy, a point per cell."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from memreg.estimators.correlation import Pearson
from memreg.estimators.regression import line
from memreg.figures.style import GREY, cell_legend, cell_points, colours, drawing, label

FEWEST = 3  # cells of a line


def correlation(points: pd.DataFrame, statistic: str, r: Pearson) -> Figure:
    """With the regression line over all cells and its 95 % band, and a dashed line for each data set.

    points: a row per cell with `dataset`, `model`, `test_accuracy` and `<statistic>`, both with
    `_low` and `_high`.
    """
    with drawing() as figure:
        axes = figure.subplots()
        known = points[points["test_accuracy"].notna() & points[statistic].notna()]
        keys: list[Artist] = [*cell_legend(points)]
        datasets = [name for name, n in known["dataset"].value_counts().items() if n >= FEWEST]
        if len(known) >= FEWEST:
            _line(axes, known, statistic, GREY, "-", band=True)
            keys.append(Line2D([], [], color=GREY, label="all cells"))
            keys.append(Patch(color=GREY, alpha=0.15, linewidth=0, label="95 % band"))
        if known["dataset"].nunique() > 1:
            for name in datasets:
                _line(axes, known[known["dataset"] == name], statistic, colours(points)[str(name)], "--")
            if datasets:
                keys.append(Line2D([], [], color=GREY, linestyle="--", label="within a data set"))
        cell_points(axes, points, "test_accuracy", statistic)
        axes.set_xlabel("Test accuracy (%)")
        axes.set_ylabel(label(statistic))
        axes.set_title(sentence(r), loc="left", fontsize=11)
        figure.legend(handles=keys, loc="outside right upper")
    return figure


def sentence(r: Pearson) -> str:
    """A correlation with its interval, in one line."""
    return f"Pearson r = {r.r:.3f}  [95 %: {r.low:.3f}, {r.high:.3f}],  {r.n} cells"


def _line(
    axes: Axes, points: pd.DataFrame, statistic: str, colour: str, style: str, band: bool = False
) -> None:
    x, y = (points[name].to_numpy(float) for name in ("test_accuracy", statistic))
    at = np.linspace(x.min(), x.max(), 60)
    middle, low, high = line(x, y, at)
    axes.plot(100 * at, 100 * middle, style, color=colour, linewidth=1.2, zorder=1)
    if band:
        axes.fill_between(100 * at, 100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0, zorder=0)
