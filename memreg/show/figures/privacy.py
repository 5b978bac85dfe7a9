"""Membership inference: curves of attacks, and each example's vulnerability over its memorization score."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.estimators.bootstrap import jackknife_interval
from memreg.estimators.counts import Floats
from memreg.estimators.roc import FEWEST, Curves
from memreg.estimators.statistics import ATTACKS
from memreg.show.figures.pictures import Picture, picture
from memreg.show.figures.style import COLOURS, GREY, drawing

POINTS = 60
COLUMNS = 7
"""Images beside each other."""
STYLES = {"online": "-", "offline": "--", "rmia": "-.", "threshold": ":", "image": (0, (5, 1, 1, 1))}
LABELS = ATTACKS | {"image": "LiRA, online, the image alone"}


def attack_curves(curves: Mapping[str, Curves], title: str) -> Figure:
    """The receiver operating characteristic of attacks, on logarithmic axes, with the 95 % band over members
    of the first; curves: by a name of LABELS. What FEWEST false positives cannot hold is left out."""
    with drawing((6.4, 5.6)) as figure:
        axes = figure.subplots()
        whole = {name: curve.whole for name, curve in curves.items()}
        least = min(max(FEWEST / min(curve.negatives for curve in whole.values()), 1e-5), 0.5)
        at = np.geomspace(least, 1, POINTS)
        for colour, (name, curve) in zip(COLOURS, whole.items(), strict=False):
            label = f"{LABELS[name]}: AUC {curve.auc:.3f}"
            style = STYLES[name]
            axes.plot(at, curve.true_positive_at(at), linestyle=style, color=colour, label=label)
        first = next(iter(curves.values()))
        low, high = np.clip(_ends(first, at), least / 10, 1)
        axes.fill_between(at, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label="95 % over members")
        axes.plot(at, at, color=GREY, linewidth=1, label="chance")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(least, 1)
        axes.set_ylim(least, 1)
        axes.set_xlabel("False-positive rate")
        axes.set_ylabel("True-positive rate")
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(loc="lower right", fontsize=9)
    return figure


def _ends(curves: Curves, rates: Floats) -> Floats:
    """The ends of the band, [2, rates]."""
    without = curves.without(lambda curve: curve.true_positive_at(rates)).reshape(-1, len(rates))
    whole = curves.whole.true_positive_at(rates)
    return np.array([jackknife_interval(*pair) for pair in zip(whole, without.T, strict=True)]).T


def vulnerability(
    memorization: "pd.Series[float]",
    scores: pd.DataFrame,
    agreement: tuple[float, float, float],
    title: str,
    exceptions: Mapping[str, Sequence[Picture]],
) -> Figure:
    """Each training example's attack AUC over its memorization score, and below it the images of exceptions.

    memorization: [n_train]; scores: as scores-privacy.parquet; agreement: Spearman's rho with its interval.
    """
    rows = len(exceptions)
    with drawing((8.0, 4.6 + 1.45 * rows)) as figure:
        heights = [4.6, *[1.45] * rows]
        above, *below = figure.subfigures(1 + rows, 1, squeeze=False, height_ratios=heights)[:, 0]
        axes = above.subplots()
        shown = axes.hexbin(memorization, scores["score"], gridsize=60, bins="log", mincnt=1, cmap="viridis")
        above.colorbar(shown, label="Training examples")
        axes.axhline(0.5, color=GREY, linewidth=1)
        axes.set_xlabel("Memorization score (Equation 1)")
        axes.set_ylabel("AUC of membership inference")
        rho, low, high = agreement
        known = f"\nSpearman's rho = {rho:.2f} [95 %: {low:.2f}, {high:.2f}] between halves of the members"
        axes.set_title(title + (known if rho == rho else ""), loc="left", fontsize=10)
        for part, (name, pictures) in zip(below, exceptions.items(), strict=True):
            said = f"{name} (below each its label, then AUC and memorization score)"
            part.suptitle(said, fontsize=10, x=0.01, ha="left")
            for ax, one in zip(part.subplots(1, COLUMNS), [*pictures, *[None] * COLUMNS], strict=False):
                if one is None:
                    ax.set_axis_off()
                else:
                    picture(ax, one)
    return figure
