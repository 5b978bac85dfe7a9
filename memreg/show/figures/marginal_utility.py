"""Change of test accuracy over the threshold of removal, a line per arm (Feldman & Zhang's Figure 2)."""

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
            low, high = own["difference"] - own["difference_low"], own["difference_high"] - own["difference"]
            axes.errorbar(x, own["difference"], yerr=[low, high], color=colour)
    axes.set_xlabel("Threshold of the memorization score")
    axes.set_xticks(sorted(rows["threshold"].unique()))
