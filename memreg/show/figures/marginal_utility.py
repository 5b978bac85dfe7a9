"""Change of test accuracy over the threshold of removal, a line per arm (Feldman & Zhang's Figure 2)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memreg.show.figures.style import COLOURS, GREY, drawing

TITLES = {"all": "All test images", "sub-populations": "Sub-populations that lost members"}
LINES = {"scored": "o-", "random": "s--", "verified": "^-", "thinned": "D-", "below": "v--"}


def marginal_utility(table: pd.DataFrame, margin: float) -> Figure:
    """table: `images`, `threshold`, `arm`, `difference` with `_low` and `_high`, in points."""
    panels = [images for images in TITLES if (table["images"] == images).any()]
    with drawing((5.0 * len(panels) + 1, 4.8)) as figure:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, images in zip(grid, panels, strict=True):
            _panel(axes, table[table["images"] == images], margin)
            axes.set_title(TITLES[images], loc="left", fontsize=11)
        grid[0].set_ylabel("Test accuracy less that of everything (points)")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=6)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, margin: float) -> None:
    axes.axhspan(-margin, margin, color=GREY, alpha=0.12, linewidth=0, label=f"± {margin:g} points")
    axes.axhline(0, color=GREY, linewidth=1)
    thresholds = sorted(rows["threshold"].unique())
    (_over_thresholds if len(thresholds) > 1 else _side_by_side)(axes, rows)
    if len(thresholds) > 1:
        axes.set_xlabel("Threshold of the memorization score")
        axes.set_xticks(thresholds)
    else:
        axes.set_xlabel(f"Arm, at a memorization score of {thresholds[0]:g}")


def _over_thresholds(axes: Axes, rows: pd.DataFrame) -> None:
    for (name, style), colour in zip(LINES.items(), COLOURS, strict=False):
        own = rows[rows["arm"] == name].sort_values("threshold")
        if own.empty:
            continue
        x = own["threshold"]
        axes.plot(x, own["difference"], style, color=colour, markersize=5, label=name)
        axes.fill_between(
            x, own["difference_low"], own["difference_high"], color=colour, alpha=0.18, linewidth=0
        )
        if len(own) == 1:
            _bar(axes, x.tolist(), own, colour)


def _side_by_side(axes: Axes, rows: pd.DataFrame) -> None:
    """Of one threshold there is no line to draw."""
    arms = [name for name in LINES if (rows["arm"] == name).any()]
    for place, name in enumerate(arms):
        own, colour = rows[rows["arm"] == name], COLOURS[list(LINES).index(name)]
        axes.plot([place], own["difference"], LINES[name][0], color=colour, markersize=7, label=name)
        _bar(axes, [place], own, colour)
    axes.set_xticks(range(len(arms)), arms)
    axes.set_xlim(-0.5, len(arms) - 0.5)


def _bar(axes: Axes, x: Sequence[float], own: pd.DataFrame, colour: str) -> None:
    low, high = own["difference"] - own["difference_low"], own["difference_high"] - own["difference"]
    axes.errorbar(x, own["difference"], yerr=[low, high], fmt="none", color=colour)
