"""Stand-ins for memorization scores: their errors over what they cost, and what they get wrong."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from memreg.show.figures.pictures import Picture, picture
from memreg.show.figures.style import COLOURS, GREY, drawing

LINES = ("-", "--", ":", "-.")


def leaderboard(table: pd.DataFrame, title: str) -> Figure:
    """Each proxy's error after calibration over its cost, and what noise alone and no proxy at all give.

    table: leaderboard.parquet.
    """
    with drawing((9.0, 5.6)) as figure:
        axes = figure.subplots()
        best = table.groupby("proxy")["error"].min().sort_values(kind="stable").index
        for i, name in enumerate(best):
            own = table[table["proxy"] == name].sort_values("cost")
            colour = COLOURS[i % len(COLOURS)]
            style = LINES[i // len(COLOURS) % len(LINES)]
            axes.plot(own["cost"], own["error"], style, marker="o", markersize=4, color=colour, label=name)
            if i < len(COLOURS):
                axes.fill_between(
                    own["cost"], own["error_low"], own["error_high"], color=colour, alpha=0.08, linewidth=0
                )
        axes.axhspan(0, table["floor"].iloc[0], color="#dddddd", label="noise of the truth")
        axes.axhline(table["constant_error"].iloc[0], color=GREY, linewidth=1, label="no proxy at all")
        axes.set_xscale("log")
        wide = table["cost"].max() > 2000 * table["cost"].min()
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0, 1.15 * max(table["error"].max(), table["constant_error"].iloc[0]))
        axes.set_xlabel("Cost, in trainings of a network on everything (logarithmic)")
        axes.set_ylabel("Mean absolute error, calibrated on other targets")
        axes.set_title(title, loc="left", fontsize=11)
        figure.legend(loc="outside right center", fontsize=9)
    return figure


def disagreement(rows: Sequence[tuple[str, Sequence[Sequence[Picture]]]]) -> Figure:
    """A row per proxy: images whose scores it takes for higher than they are, then for lower."""
    sides = [max(len(pictures[side]) for _, pictures in rows) for side in (0, 1)]
    widths = [1.7, *[1.0] * sides[0], 0.25, *[1.0] * sides[1]]
    with drawing((1.05 * sum(widths), 1.35 * len(rows) + 0.7)) as figure:
        grid: Any = figure.subplots(
            len(rows), len(widths), squeeze=False, gridspec_kw={"width_ratios": widths}
        )
        for axes, (name, (higher, lower)) in zip(grid, rows, strict=True):
            for ax in axes:
                ax.set_axis_off()
            axes[0].text(1, 0.5, name, ha="right", va="center", fontsize=9, transform=axes[0].transAxes)
            for first, pictures in ((1, higher), (2 + sides[0], lower)):
                for ax, one in zip(axes[first:], pictures, strict=False):
                    ax.set_axis_on()
                    picture(ax, one)
        for place, said in ((1, "Taken for higher than leave-one-out"), (2 + sides[0], "Taken for lower")):
            title = grid[0][place].annotate(said, (0, 1.08), xycoords="axes fraction", fontsize=10)
            title.set_in_layout(False)  # it is wider than its image
        figure.suptitle(" ", fontsize=10)
        said = "Below each image: its label, its leave-one-out score, and in parentheses what the proxy says"
        figure.supxlabel(said, fontsize=9)
    return figure
