"""Figures: from frames and numbers to matplotlib figures. Colour-blind safe, readable at 800 pixels."""

from memreg.figures.approximation import approximation_error, error_by_group_size
from memreg.figures.correlation import correlation
from memreg.figures.identity import identity
from memreg.figures.influence import influence
from memreg.figures.marginal_utility import marginal_utility
from memreg.figures.pictures import subpopulations
from memreg.figures.scores import score_distribution
from memreg.figures.style import family, save
from memreg.figures.thresholds import thresholds
from memreg.figures.trajectories import trajectories

__all__ = [
    "approximation_error",
    "correlation",
    "error_by_group_size",
    "family",
    "identity",
    "influence",
    "marginal_utility",
    "save",
    "score_distribution",
    "subpopulations",
    "thresholds",
    "trajectories",
]
