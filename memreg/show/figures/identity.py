"""How much of a correlation with test accuracy is arithmetic, in two panels."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.estimators.identity import Identity
from memreg.show.figures.correlation import sentence
from memreg.show.figures.style import (
    GREY,
    cell_legend,
    cell_points,
    drawing,
    label,
    legend_below,
    only_words,
    without,
)


def identity(points: pd.DataFrame, statistic: str, what: Identity) -> Figure:
    """Left: the statistic over included minus test accuracy, two numbers without which no score is needed.
    Right: what that leaves of the statistic, over test accuracy.

    points: as for `correlation`, with `included_accuracy` too.
    """
    if text := without(statistic, points):
        return only_words(text)
    arithmetic = points["included_accuracy"] - points["test_accuracy"]
    fitted = what.intercept + what.slope * arithmetic
    points = points.copy().assign(arithmetic=arithmetic, remainder=points[statistic] - fitted)
    with drawing((10.5, 5.2)) as figure:
        left, right = figure.subplots(1, 2)
        ends = np.array([arithmetic.min(), arithmetic.max()])
        left.plot(100 * ends, 100 * (what.intercept + what.slope * ends), color=GREY, linewidth=1.2)
        cell_points(left, points, "arithmetic", statistic)
        left.set_xlabel("Included − test accuracy (%)")
        left.set_ylabel(label(statistic))
        steepest = "" if what.steepest == 1 else f" to {what.steepest:.3g}"
        left.set_title(
            f"{_of_line(what, steepest)}\nr of the x-axis with test accuracy: {_r(what.arithmetic.r)}",
            loc="left",
            fontsize=11,
        )
        right.axhline(0, color=GREY, linewidth=1.2)
        cell_points(right, points, "test_accuracy", "remainder")
        right.set_ylim(np.subtract(left.get_ylim(), np.mean(left.get_ylim())))
        right.set_xlabel("Test accuracy (%)")
        right.set_ylabel("Distance from the line (points, same scale)")
        right.set_title(f"what the line leaves:\n{sentence(what.remainder)}", loc="left", fontsize=11)
        legend_below(figure, cell_legend(points))
    return figure


def _of_line(what: Identity, steepest: str) -> str:
    if what.explained != what.explained:
        return "the same in all cells: no line"
    return f"a line of slope {what.slope:.2f} (arithmetic: 1{steepest}) explains {what.explained:.1%};"


def _r(r: float) -> str:
    return f"{r:.3f}" if r == r else "too few cells"
