"""How examples' scores move along test accuracy: a panel per data set, a line per shape, or words where none
moves."""

from collections.abc import Mapping
from itertools import islice

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memreg.estimators.trajectories import MOVE, SHAPES, Trajectories
from memreg.show.figures.style import COLOURS, GREY, drawing

MOST = 3  # panels
STYLES = ((COLOURS[1], "^-"), (COLOURS[2], "v-"), (COLOURS[0], "o-"))


def trajectories(of: Mapping[str, Trajectories]) -> Figure:
    """By data set; at most three, those that come first."""
    panels = min(MOST, len(of))
    moves = any(moving.shares.share.any() for moving in islice(of.values(), panels))
    with drawing((8.0 if panels == 1 else 4.8 * panels, 5.6 if moves else 2.6)) as figure:
        grid = figure.subplots(1, panels, squeeze=False)[0]
        for axes, (name, moving) in zip(grid, islice(of.items(), panels), strict=True):
            (_panel if moving.shares.share.any() else _nothing)(axes, moving)
            s = moving.shares
            axes.set_title(f"{name}: {s.examples:,} examples, {s.cells} cells", loc="left", fontsize=11)
    return figure


def _panel(axes: Axes, moving: Trajectories) -> None:
    s = moving.shares
    for i, (shape, (colour, style)) in enumerate(zip(SHAPES, STYLES, strict=True)):
        if s.share[i] > 0:
            text = f"{shape}: {s.share[i]:.1%} [{s.low[i]:.1%}, {s.high[i]:.1%}]"
            axes.plot(100 * moving.accuracy, moving.curves[i], style, color=colour, markersize=5, label=text)
    rest = f"no movement shown: {1 - s.share.sum():.1%}"
    axes.plot(100 * moving.accuracy, moving.curves[-1], ".-", color=GREY, label=rest)
    axes.set_xlabel("Test accuracy (%), a point per cell")
    axes.set_ylabel("Mean memorization score")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=10)


def _nothing(axes: Axes, moving: Trajectories) -> None:
    s = moving.shares
    may = "\n".join(f"{shape}: {high:.1%} or fewer" for shape, high in zip(SHAPES, s.high, strict=True))
    unseen = f"Unseen, by {MOVE} or more, may move (95 %)\n{may}" if (s.high == s.high).all() else ""
    axes.text(
        0.5, 0.5, f"No example is shown to move.\n\n{unseen}", ha="center", va="center", linespacing=1.5
    )
    axes.set_axis_off()
