"""Figures: from frames and numbers to matplotlib figures. Colour-blind safe, readable at 800 pixels."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from memreg.estimators.correlation import Pearson

matplotlib.use("Agg")

SIZE = (8.0, 5.2)
DPI = 200
# Okabe and Ito's palette, black and yellow left out
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = {"vgg": "o", "resnet": "s", "vit": "^", "timm": "D"}
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def family(model: str) -> str:
    """vgg, resnet, vit or timm, from a model's name."""
    return next((name for name in MARKERS if model.startswith(name)), "timm")


def correlation(points: pd.DataFrame, statistic: str, r: Pearson) -> Figure:
    """The paper's Figure 3: a statistic of memorization over test accuracy, a point per cell.

    points: a row per cell with `dataset`, `model`, `test_accuracy` and `<statistic>`, both with
    `_low` and `_high`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        datasets = list(dict.fromkeys(points["dataset"]))
        colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(datasets)}
        for row in points.to_dict("records"):
            x, y = 100 * row["test_accuracy"], 100 * row[statistic]
            axes.errorbar(
                x,
                y,
                xerr=_arms(row, "test_accuracy"),
                yerr=_arms(row, statistic),
                fmt=MARKERS[family(row["model"])],
                color=colour[row["dataset"]],
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.7,
                elinewidth=1,
                capsize=0,
            )
        axes.set_xlabel("Test accuracy (%)")
        axes.set_ylabel(label(statistic))
        axes.set_title(sentence(r), loc="left", fontsize=11)
        keys = [Line2D([], [], color=c, marker="o", linestyle="", label=name) for name, c in colour.items()]
        families = dict.fromkeys(family(model) for model in points["model"])
        keys += [
            Line2D([], [], color="#555555", marker=MARKERS[name], linestyle="", label=NAMES[name])
            for name in families
        ]
        figure.legend(handles=keys, loc="outside right upper")
    return figure


def score_distribution(scores: pd.DataFrame, title: str) -> Figure:
    """How many training examples have which memorization score, and what share lies above each threshold."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        known = scores["score"].dropna().to_numpy()
        axes.hist(known, bins=list(np.linspace(-1, 1, 81)), color=COLOURS[0])
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(bottom=0)
        axes.set_xlim(min(-0.3, known.min()), 1)
        axes.set_xlabel("Memorization score (Equation 1)")
        axes.set_ylabel("Training examples (log scale above 10)")
        axes.set_title(title, loc="left", fontsize=11)
    return figure


NAMES = {"vgg": "VGG", "resnet": "ResNet", "vit": "ViT", "timm": "timm"}


def label(statistic: str) -> str:
    """A statistic as an axis label."""
    name, _, threshold = statistic.partition("/")
    if name == "memorized_fraction":
        return f"Training examples with score ≥ {threshold} (%)"
    return {"mean_score": "Mean memorization score (%)", "gap": "Included − excluded accuracy (%)"}[name]


def sentence(r: Pearson) -> str:
    """A correlation with its interval, in one line."""
    return f"Pearson r = {r.r:.3f}  [95 %: {r.low:.3f}, {r.high:.3f}],  {r.n} cells"


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI, format="png")


def _arms(row: dict[Any, Any], name: str) -> NDArray[np.float64]:
    value = row[name]
    arms: NDArray[np.float64] = 100 * np.nan_to_num(
        [[value - row[f"{name}_low"]], [row[f"{name}_high"] - value]]
    )
    return arms
