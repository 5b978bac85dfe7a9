"""An MLflow-tracked registry of memorization experiments.

import memreg
registry = memreg.Registry("sqlite:///mlflow.db")
registry.cells(study="digits")      # pandas frame, one row per cell
registry.scores(cell)               # pandas frame, one row per training example
registry.predictions(cell)          # numpy arrays, one row per member
registry.cell(cell)                 # all of it as an object, found once
memreg.show(registry.cell(cell))    # in a notebook: its most memorized examples as pictures
registry.images(cell)               # numpy array, the training images
registry.score_matrix("digits")     # pandas frame, examples x cells
registry.compare([cell, other])     # pandas frame, examples x cells, with intervals
registry.compare(cell, other)       # pandas frame, the difference of their scores
registry.correlation("digits")      # memorization and test accuracy over the study's cells
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from memreg.errors import MemregError

if TYPE_CHECKING:
    from memreg.notebook import Registry
    from memreg.show.thumbnails import show

__all__ = ["MemregError", "Registry", "show"]


def __getattr__(name: str) -> Any:
    """What is public, on demand: workers import memreg too, and need no second of MLflow's imports."""
    if name == "Registry":
        with warnings.catch_warnings():  # MLflow asks notebooks for the widgets of progress bars
            warnings.filterwarnings("ignore", "IProgress not found")
            from memreg.notebook import Registry

        return Registry
    if name == "show":
        return import_module("memreg.show")
    raise AttributeError(f"module 'memreg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
