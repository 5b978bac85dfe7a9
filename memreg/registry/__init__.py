"""MLflow as the registry of cells: written by one driver, read by everyone."""

from memreg.registry.reader import Registry
from memreg.registry.store import Store
from memreg.registry.stored_cell import StoredCell
from memreg.registry.writers import CellWriter, RunWriter

__all__ = ["CellWriter", "Registry", "RunWriter", "Store", "StoredCell"]
