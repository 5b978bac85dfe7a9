"""Figures: from frames and numbers to matplotlib figures. Colour-blind safe, readable at 800 pixels."""

from memreg.figures.correlation import correlation
from memreg.figures.identity import identity
from memreg.figures.scores import score_distribution
from memreg.figures.style import family, save
from memreg.figures.thresholds import thresholds
from memreg.figures.trajectories import trajectories

__all__ = [
    "correlation",
    "family",
    "identity",
    "save",
    "score_distribution",
    "thresholds",
    "trajectories",
]
