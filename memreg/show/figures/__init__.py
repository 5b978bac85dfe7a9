"""Figures: from frames and numbers to matplotlib figures. Colour-blind safe, readable at 800 pixels."""

from memreg.show.figures.approximation import approximation_error, error_by_group_size
from memreg.show.figures.correlation import correlation
from memreg.show.figures.datamodel import datamodel
from memreg.show.figures.identity import identity
from memreg.show.figures.influence import influence
from memreg.show.figures.leaderboard import disagreement, leaderboard
from memreg.show.figures.marginal_utility import marginal_utility
from memreg.show.figures.pictures import subpopulations
from memreg.show.figures.privacy import attack_curves, vulnerability
from memreg.show.figures.scores import score_distribution
from memreg.show.figures.search import search
from memreg.show.figures.style import save
from memreg.show.figures.thresholds import thresholds
from memreg.show.figures.trajectories import trajectories

__all__ = [
    "approximation_error",
    "attack_curves",
    "correlation",
    "datamodel",
    "disagreement",
    "error_by_group_size",
    "identity",
    "influence",
    "leaderboard",
    "marginal_utility",
    "save",
    "score_distribution",
    "search",
    "subpopulations",
    "thresholds",
    "trajectories",
    "vulnerability",
]
