"""The paper's Figure 2: estimates of memorization scores against leave-one-out's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memreg.show.figures.style import COLOURS, GREY, drawing


def approximation_error(
    targets: pd.DataFrame, metrics: Mapping[str, float], thresholds: pd.DataFrame, name: str
) -> Figure:
    """Each target's two scores, and the share of wrong decisions at each threshold.

    targets: `score`, `truth`, each with `_low` and `_high`; metrics, thresholds: of a Comparison.
    """
    with drawing((8.0, 4.6)) as figure:
        left, right = figure.subplots(1, 2)
        _scatter(left, targets)
        left.set_ylabel(f"Estimate ({name})")
        left.set_title(
            f"{metrics['within_0.05']:.0%} within 5 % (by noise alone {metrics['within_0.05_noise']:.0%})",
            loc="left",
            fontsize=10,
        )
        _decisions(right, thresholds)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
        figure.suptitle(
            f"{metrics['targets']:.0f} targets: mean error {metrics['mean_error']:+.3f}, largest "
            f"{metrics['largest_error']:.2f}",
            fontsize=11,
            x=0.01,
            ha="left",
        )
    return figure


def error_by_group_size(by_size: pd.DataFrame) -> Figure:
    """Mean error by the size of the target's sub-population, a line per estimate.

    by_size: `estimate`, `size` (0: ordinary examples), `mean_error` with `_low`, `_high`.
    """
    with drawing() as figure:
        axes = figure.subplots()
        sizes = [size for size in sorted(by_size["size"].unique()) if size > 0] + [0]
        names = list(dict.fromkeys(by_size["estimate"]))
        for k, name in enumerate(names):
            own = by_size[by_size["estimate"] == name].set_index("size").reindex(sizes)
            x = np.arange(len(sizes)) + 0.6 * ((k + 0.5) / len(names) - 0.5)
            y = own["mean_error"].to_numpy()
            arms = np.abs(np.stack([y - own["mean_error_low"], own["mean_error_high"] - y]))
            axes.errorbar(
                x,
                y,
                yerr=arms,
                fmt="os"[k // len(COLOURS) % 2],
                markersize=6,
                elinewidth=1.2,
                color=COLOURS[k % len(COLOURS)],
                label=name,
            )
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set_xticks(np.arange(len(sizes)), [str(size) if size else "ordinary" for size in sizes])
        axes.set_xlabel("Training images in the sub-population")
        axes.set_ylabel("Estimate − leave-one-out (mean, 95 %)")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def _scatter(axes: Axes, targets: pd.DataFrame) -> None:
    x, y = targets["truth"].to_numpy(), targets["score"].to_numpy()
    low = min(0.0, np.nanmin(x), np.nanmin(y)) - 0.05
    line = np.array([low, 1.05])
    axes.fill_between(line, line - 0.05, line + 0.05, color=GREY, alpha=0.2, linewidth=0)
    axes.plot(line, line, color=GREY, linewidth=1)
    axes.errorbar(
        x,
        y,
        xerr=[x - targets["truth_low"], targets["truth_high"] - x],
        yerr=[y - targets["score_low"], targets["score_high"] - y],
        fmt="o",
        markersize=3.5,
        color=COLOURS[0],
        ecolor=COLOURS[5],
        elinewidth=0.5,
        alpha=0.8,
    )
    axes.set_xlim(low, 1.05)
    axes.set_ylim(low, 1.05)
    axes.set_aspect("equal")
    axes.set_xlabel("Leave-one-out score")


def _decisions(axes: Axes, thresholds: pd.DataFrame) -> None:
    x = thresholds["threshold"]
    for colour, key, name in (
        (COLOURS[1], "false_positives", "false positives"),
        (COLOURS[2], "false_negatives", "false negatives"),
    ):
        axes.fill_between(
            x, 100 * thresholds[f"{key}_low"], 100 * thresholds[f"{key}_high"], color=colour, alpha=0.15, lw=0
        )
        axes.plot(x, 100 * thresholds[key], "o-", markersize=3.5, color=colour, label=name)
        axes.plot(x, 100 * thresholds[f"{key}_noise"], ":", color=colour, label=f"{name}, noise alone")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 100)
    axes.set_xlabel("Threshold")
    axes.set_ylabel("Share of marked, of memorized (%)")
