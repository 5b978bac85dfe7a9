"""A search: the test accuracy of each trial, and which targets are filled."""

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memreg.show.figures.style import COLOURS, GREY, drawing


def search(
    accuracies: Sequence[float], chosen: Collection[int], targets: Sequence[float], title: str
) -> Figure:
    """Test accuracy over the trial's number, the chosen ones filled, and a line at each target.

    accuracies: by trial, NaN where it failed. chosen: trials whose cells fill a target, or that are whole.
    """
    with drawing() as figure:
        axes = figure.subplots()
        for target in targets:
            axes.axhline(100 * target, color=GREY, linewidth=0.8, linestyle="--")
        trials, y = np.arange(len(accuracies)), 100 * np.asarray(accuracies, float)
        taken = np.isin(trials, list(chosen))
        axes.plot(trials[~taken], y[~taken], "o", color=GREY, fillstyle="none", label="not chosen")
        axes.plot(trials[taken], y[taken], "o", color=COLOURS[0], label="chosen")
        if targets:
            axes.plot([], [], "--", color=GREY, linewidth=0.8, label="target")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("Trial")
        axes.set_ylabel("Test accuracy (%)")
        axes.set_title(title, loc="left", fontsize=11)
        figure.legend(loc="outside lower center", ncols=3)
    return figure
