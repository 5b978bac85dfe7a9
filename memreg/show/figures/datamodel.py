"""How well datamodels predict networks, target by target."""

import numpy as np
from matplotlib.figure import Figure

from memreg.estimators.datamodel import Datamodels
from memreg.show.figures.style import COLOURS, GREY, drawing


def datamodel(found: Datamodels, title: str) -> Figure:
    """Each target's linear datamodeling score by LASSO over that by counting, and the ceiling."""
    with drawing((6.4, 5.6)) as figure:
        axes = figure.subplots()
        axes.scatter(found.lds_counted, found.lds, s=16, color=COLOURS[0], alpha=0.7, label="a target")
        least = min(float(np.min([found.lds, found.lds_counted])), 0) - 0.05
        axes.plot([least, 1], [least, 1], color=GREY, linewidth=1, label="equal")
        if found.ceiling == found.ceiling:
            axes.axhline(
                found.ceiling,
                color=COLOURS[1],
                linestyle="--",
                label="mean with any number of members, LASSO",
            )
        axes.plot(
            np.mean(found.lds_counted), np.mean(found.lds), "P", color=COLOURS[1], markersize=11, label="mean"
        )
        axes.set_xlim(least, 1)
        axes.set_ylim(least, 1)
        axes.set_xlabel("Linear datamodeling score by counting")
        axes.set_ylabel("Linear datamodeling score by LASSO")
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(loc="upper left", fontsize=9)
    return figure
