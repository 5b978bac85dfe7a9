"""The paper's Figure 1: images, and the training images they learn from."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memreg.show.figures.style import COLOURS, drawing

Picture = tuple[NDArray[np.uint8], str]
"""An image [height, width, channels] and what is written under it."""
LONGEST = 16
"""Characters of a line under an image, so that none runs into the next image's."""


def subpopulations(rows: Sequence[tuple[Picture, Sequence[Picture]]]) -> Figure:
    """A row per target: its image, framed, then its nearest training images."""
    columns = 1 + max(len(nearest) for _, nearest in rows)
    with drawing((8.0, 1.45 * len(rows))) as figure:
        grid: Any = figure.subplots(len(rows), columns, squeeze=False)
        for axes, (target, nearest) in zip(grid, rows, strict=True):
            for ax, one in zip(axes, [target, *nearest], strict=False):
                picture(ax, one)
            for ax in axes[1 + len(nearest) :]:
                ax.set_axis_off()
            for spine in axes[0].spines.values():
                spine.set(visible=True, color=COLOURS[1], linewidth=2.5)
    return figure


def picture(axes: Axes, shown: Picture) -> None:
    """An image with its caption below."""
    image, caption = shown
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    lines = (textwrap.fill(line, LONGEST) for line in caption.splitlines())
    axes.set_xlabel("\n".join(lines), fontsize=9)
