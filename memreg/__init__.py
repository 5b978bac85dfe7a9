"""An MLflow-tracked registry of memorization experiments.

import memreg
registry = memreg.Registry("sqlite:///mlflow.db")
registry.cells(study="digits")      # pandas frame, one row per cell
registry.scores(cell)               # pandas frame, one row per training example
registry.predictions(cell)          # numpy arrays, one row per member
"""

from memreg.errors import MemregError
from memreg.registry.reader import Registry

__all__ = ["MemregError", "Registry"]
