"""How many pairs of training and test examples have which influence."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memreg.show.figures.style import COLOURS, GREY, drawing


def influence(
    edges: NDArray[np.float64], count: NDArray[np.int64], threshold: float, by_chance: float, title: str
) -> Figure:
    """Pairs with at least so much influence, and for comparison with at most minus so much.

    edges: [bins + 1], symmetric about 0; count: pairs in each bin, [bins]. Noise goes either way alike,
    so the second curve says how many pairs of the first noise can explain at most. by_chance: pairs at or
    above the threshold that noise alone gives.
    """
    middle = len(count) // 2
    at_least = np.cumsum(count[::-1])[::-1][middle:]
    at_most = np.cumsum(count)[:middle][::-1]
    x = edges[middle:-1]
    with drawing() as figure:
        axes = figure.subplots()
        axes.step(x, np.maximum(at_least, 0.5), where="post", color=COLOURS[0], label="influence ≥ x")
        axes.step(x, np.maximum(at_most, 0.5), where="post", color=COLOURS[1], label="influence ≤ −x")
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label="threshold")
        axes.plot(threshold, max(by_chance, 0.5), "o", color=GREY, label=f"by chance: {by_chance:,.0f}")
        axes.set_yscale("log")
        axes.set_ylim(0.8, 2 * at_least.max())
        shown = np.flatnonzero(at_least + at_most)
        axes.set_xlim(0, x[shown[-1]] + 0.02)
        axes.set_xlabel("x: change of a test example's accuracy by a training example")
        axes.set_ylabel("Pairs")
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(loc="upper right")
    return figure
