"""How many training examples have which memorization score."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.show.figures.style import COLOURS, drawing


def score_distribution(scores: pd.DataFrame, title: str) -> Figure:
    """scores: the columns of scores.parquet."""
    with drawing() as figure:
        axes = figure.subplots()
        known = scores["score"].dropna().to_numpy()
        counts, *_ = axes.hist(known, bins=list(np.linspace(-1, 1, 81)), color=COLOURS[0])
        log = np.max(counts) > 10
        if log:
            axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(bottom=0)
        axes.set_xlim(min(-0.3, known.min()), 1)
        axes.set_xlabel("Memorization score (Equation 1)")
        axes.set_ylabel("Training examples" + (" (log scale above 10)" if log else ""))
        axes.set_title(title, loc="left", fontsize=11)
    return figure
