"""The test accuracies that cells shall have, and which cells fill them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError


@dataclass(frozen=True)
class Targets:
    """Test accuracies, ascending, each filled by a cell that is within the tolerance of it."""

    values: tuple[float, ...]
    tolerance: float

    @classmethod
    def spaced(cls, count: int, low: float, high: float, tolerance: float) -> "Targets":
        """Evenly from low to high, both included."""
        if count < 2:
            raise MemregError(f"targets={count}: a range takes two and more")
        if not 0 < low < high < 1:
            raise MemregError(
                f"low and high must be test accuracies with 0 < low < high < 1, as 0.7 and 0.95, "
                f"not {low:g} and {high:g}"
            )
        if not 0 < tolerance < 0.5:
            raise MemregError(f"tolerance must be an accuracy above 0, as 0.01, not {tolerance:g}")
        return cls(tuple(np.linspace(low, high, count).round(6).tolist()), tolerance)

    def nearest(self, accuracy: float, among: Sequence[float]) -> float | None:
        """The nearest of the targets `among` that this accuracy fills."""
        best = min(among, key=lambda target: abs(target - accuracy), default=None)
        return best if best is not None and abs(best - accuracy) <= self.tolerance else None

    def filled(self, accuracies: Sequence[float]) -> dict[float, int]:
        """Target -> index of the cell that fills it; a cell fills one target, the first come is served
        first."""
        taken: dict[float, int] = {}
        for i, accuracy in enumerate(accuracies):
            target = self.nearest(accuracy, [t for t in self.values if t not in taken])
            if target is not None:
                taken[target] = i
        return taken

    def distance(self, accuracy: float, among: Sequence[float]) -> float:
        """To the nearest of the targets `among`."""
        return min((abs(target - accuracy) for target in among), default=0.0)

    def bands(self, among: Sequence[float]) -> NDArray[np.float64]:
        """Accuracies that fill each of the targets `among`: [targets, 2]."""
        edges = np.array([(t - self.tolerance, t + self.tolerance) for t in among]).reshape(-1, 2)
        return np.asarray(np.clip(edges, 1e-4, 1 - 1e-4))
