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
from memreg.show.figures.style import (
    GREY,
    cell_legend,
    cell_points,
    colours,
    drawing,
    label,
    legend_below,
    only_words,
    without,
)

FEWEST = 3  # cells of a line
SHARES = ("memorized_fraction", "counted_fraction", "privacy")
"""Statistics between 0 and 1, by the heads of their names."""


def correlation(
    points: pd.DataFrame, statistic: str, pooled: Pearson, within: Pearson | None = None
) -> Figure:
    """Draw the cells, the regression line over all with its 95 % band, and a dashed line for each data set.

    points: a row per cell with `dataset`, `family`, `test_accuracy` and `<statistic>`, both with
    `_low` and `_high`. within: r within data sets, where there are several, which then comes first.
    """
    if text := without(statistic, points):
        return only_words(text)
    with drawing() as figure:
        axes = figure.subplots()
        known = points[points["test_accuracy"].notna() & points[statistic].notna()]
        keys: list[Artist] = [*cell_legend(points)]
        datasets = [name for name, n in known["dataset"].value_counts().items() if n >= FEWEST]
        if len(known) >= FEWEST:
            _line(axes, known, statistic, GREY, "-", band=True)
            keys.append(Line2D([], [], color=GREY, label="all cells"))
            band = "95 % band" if within is None else "95 % band, these data sets"
            keys.append(Patch(color=GREY, alpha=0.15, linewidth=0, label=band))
        if known["dataset"].nunique() > 1:
            for name in datasets:
                _line(axes, known[known["dataset"] == name], statistic, colours(points)[str(name)], "--")
            if datasets:
                keys.append(Line2D([], [], color=GREY, linestyle="--", label="within a data set"))
        cell_points(axes, points, "test_accuracy", statistic)
        axes.set_xlabel("Test accuracy (%)")
        axes.set_ylabel(label(statistic))
        axes.set_title(title(pooled, within), loc="left", fontsize=11 if within is None else 10)
        legend_below(figure, keys)
    return figure


def title(pooled: Pearson, within: Pearson | None) -> str:
    """r, and where there are several data sets first that within them, a line each."""
    if within is None:
        return f"Pearson {sentence(pooled)}"
    return f"within data sets {sentence(within)}\nthese data sets pooled {sentence(pooled)}"


def sentence(r: Pearson) -> str:
    """A correlation with its interval, or what it takes."""
    if r.r != r.r:
        return f"no r, {r.n} cells" + (f", takes {r.needed}" if r.n < r.needed else "")
    return f"r = {r.r:.3f} [95 %: {r.low:.3f}, {r.high:.3f}], {r.n} cells"


def _line(
    axes: Axes, points: pd.DataFrame, statistic: str, colour: str, style: str, band: bool = False
) -> None:
    x, y = (points[name].to_numpy(float) for name in ("test_accuracy", statistic))
    at = np.linspace(x.min(), x.max(), 60)
    middle, low, high = line(x, y, at)
    axes.plot(100 * at, 100 * middle, style, color=colour, linewidth=1.2, zorder=1)
    if band and statistic.partition("/")[0] in SHARES:
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    if band:
        axes.fill_between(100 * at, 100 * low, 100 * high, color=colour, alpha=0.15, linewidth=0, zorder=0)
