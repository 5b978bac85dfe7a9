"""An MLflow-tracked registry of memorization experiments.

import memreg
registry = memreg.Registry("sqlite:///mlflow.db")
registry.cells(study="digits")      # pandas frame, one row per cell
registry.scores(cell)               # pandas frame, one row per training example
registry.predictions(cell)          # numpy arrays, one row per member
registry.cell(cell)                 # all of it as an object, found once
registry.score_matrix("digits")     # pandas frame, examples x cells
registry.compare(cell, other)       # pandas frame, the difference of their scores
registry.correlation("digits")      # memorization and test accuracy over the study's cells
"""

from typing import TYPE_CHECKING, Any

from memreg.errors import MemregError

if TYPE_CHECKING:
    from memreg.notebook import Registry

__all__ = ["MemregError", "Registry"]


def __getattr__(name: str) -> Any:
    """`Registry` on demand: workers import memreg too, and have no use for MLflow's second of imports."""
    if name == "Registry":
        from memreg.notebook import Registry

        return Registry
    raise AttributeError(f"module 'memreg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
