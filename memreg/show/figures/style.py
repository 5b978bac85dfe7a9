"""What figures share: sizes, colours, names, and a point per cell."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from memreg.estimators.statistics import ATTACKS, PRIVACY, RATES, rate_key

matplotlib.use("Agg")

SIZE = (8.0, 5.2)
DPI = 200
# Okabe and Ito's palette, black and yellow left out
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#555555"
MOST_NAMED, LONGEST = 8, 36  # data sets in a legend, and characters of each
ROW = 100  # characters of a legend beside each other
MARKERS = {"vgg": "o", "resnet": "s", "vit": "^", "timm": "D", "own": "P"}
NAMES = {"vgg": "VGG", "resnet": "ResNet", "vit": "ViT", "timm": "timm", "own": "own"}
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


@contextmanager
def drawing(size: tuple[float, float] = SIZE) -> Iterator[Figure]:
    """A new figure in the project's style."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=size, layout="constrained")


def only_words(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    with drawing((SIZE[0], 1.6)) as figure:
        axes = figure.subplots()
        axes.text(0.5, 0.5, text, ha="center", va="center", linespacing=1.5)
        axes.set_axis_off()
    return figure


def without(statistic: str, points: pd.DataFrame) -> str | None:
    """Say that no cell has a statistic and test accuracy, where that is so."""
    if (points[statistic].notna() & points["test_accuracy"].notna()).any():
        return None
    return f"None of {len(points)} cells has both test accuracy and\n{label(statistic)}"


def colours(points: pd.DataFrame) -> dict[str, str]:
    """A colour for each data set."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(points["dataset"]))}


def cell_points(axes: Axes, points: pd.DataFrame, x: str, y: str) -> None:
    """A point per cell, in per cent: the data set's colour, the family's marker, and 95 % bars where there
    are columns `_low` and `_high`. points: a row per cell with `dataset`, `family`, x and y."""
    colour = colours(points)
    for row in points.to_dict("records"):
        axes.errorbar(
            100 * row[x],
            100 * row[y],
            xerr=_arms(row, x),
            yerr=_arms(row, y),
            fmt=MARKERS[row["family"]],
            color=colour[row["dataset"]],
            markersize=7,
            markeredgecolor="white",
            markeredgewidth=0.7,
            elinewidth=1,
            capsize=0,
        )


def cell_legend(points: pd.DataFrame) -> list[Line2D]:
    """Handles for `cell_points`. Long names keep their ends."""
    named = colours(points)
    keys = [
        Line2D([], [], color=c, marker="o", linestyle="", label=_shortened(name))
        for name, c in list(named.items())[:MOST_NAMED]
    ]
    if more := len(named) - len(keys):
        keys.append(Line2D([], [], linestyle="", label=f"and {more} more data sets"))
    return keys + [
        Line2D([], [], color=GREY, marker=MARKERS[name], linestyle="", label=NAMES[name])
        for name in dict.fromkeys(points["family"])
    ]


def legend_below(figure: Figure, keys: Sequence[Artist]) -> None:
    """A legend below all axes, in as many columns as its texts leave room for."""
    longest = max(len(str(key.get_label())) for key in keys)
    columns = max(1, min(4, len(keys), ROW // (longest + 6)))
    figure.legend(handles=[*keys], loc="outside lower center", ncols=columns)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def label(statistic: str) -> str:
    """A statistic as an axis label."""
    if statistic in PRIVACY:
        attack, name, queries = PRIVACY[statistic]
        rates = {rate_key(rate): f"True positives at {rate:.1%} false positives" for rate in RATES}
        what = rates.get(name, {"auc": "AUC", "balanced_accuracy": "Balanced accuracy"}.get(name))
        return f"{what} ({ATTACKS[attack]}{', with views' if queries else ''}; %)"
    name, _, threshold = statistic.partition("/")
    if name == "memorized_fraction":
        return f"Memorized: true score ≥ {threshold} (% of training examples)"
    if name == "counted_fraction":
        return f"Noisy score ≥ {threshold} (% of training examples)"
    return {"mean_score": "Mean memorization score (%)", "gap": "Included − excluded accuracy (%)"}[name]


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI, format="png")


def _arms(row: dict[Any, Any], name: str) -> NDArray[np.float64] | None:
    if f"{name}_low" not in row:
        return None
    value = row[name]
    arms: NDArray[np.float64] = 100 * np.nan_to_num(
        [[value - row[f"{name}_low"]], [row[f"{name}_high"] - value]]
    )
    return arms
