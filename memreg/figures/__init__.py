"""Figures: from frames and numbers to matplotlib figures. Colour-blind safe, readable at 800 pixels."""

from memreg.figures.approximation import approximation_error, error_by_group_size
from memreg.figures.correlation import correlation
from memreg.figures.influence import influence
from memreg.figures.pictures import subpopulations
from memreg.figures.scores import score_distribution
from memreg.figures.style import family, save

__all__ = [
    "approximation_error",
    "correlation",
    "error_by_group_size",
    "family",
    "influence",
    "save",
    "score_distribution",
    "subpopulations",
]
