"""How much of a correlation with test accuracy is arithmetic, in two panels."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.estimators.identity import Identity
from memreg.show.figures.correlation import sentence
from memreg.show.figures.style import GREY, cell_legend, cell_points, drawing, label


def identity(points: pd.DataFrame, statistic: str, what: Identity) -> Figure:
    """Left: the statistic over included minus test accuracy, two numbers without which no score is needed.
    Right: what that leaves of the statistic, over test accuracy.

    points: as for `correlation`, with `included_accuracy` too.
    """
    arithmetic = points["included_accuracy"] - points["test_accuracy"]
    fitted = what.intercept + what.slope * arithmetic
    points = points.assign(arithmetic=arithmetic, remainder=points[statistic] - fitted)
    with drawing((10.5, 5.2)) as figure:
        left, right = figure.subplots(1, 2)
        ends = np.array([arithmetic.min(), arithmetic.max()])
        left.plot(100 * ends, 100 * (what.intercept + what.slope * ends), color=GREY, linewidth=1.2)
        cell_points(left, points, "arithmetic", statistic)
        left.set_xlabel("Included − test accuracy (%)")
        left.set_ylabel(label(statistic))
        steepest = "" if what.steepest == 1 else f" to {what.steepest:.3g}"
        left.set_title(
            f"a line of slope {what.slope:.2f} (arithmetic: 1{steepest}) explains {what.explained:.1%};\n"
            f"r of the x-axis with test accuracy: {what.arithmetic.r:.3f}",
            loc="left",
            fontsize=11,
        )
        right.axhline(0, color=GREY, linewidth=1.2)
        cell_points(right, points, "test_accuracy", "remainder")
        right.set_ylim(np.subtract(left.get_ylim(), np.mean(left.get_ylim())))
        right.set_xlabel("Test accuracy (%)")
        right.set_ylabel("Distance from the line (points, same scale)")
        right.set_title(f"what the line leaves:\n{sentence(what.remainder)}", loc="left", fontsize=11)
        figure.legend(handles=cell_legend(points), loc="outside lower center", ncols=4)
    return figure
