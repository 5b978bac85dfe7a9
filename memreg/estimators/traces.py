"""What training shows of each training example, of several members at several checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Floats, Mask

FIT = ("loss", "margin", "correct", "el2n")
"""Quantities of every trace: cross-entropy, the label's log odds, whether it is predicted, and the length of
the error p - y (Paul et al. 2021)."""


@dataclass(frozen=True, eq=False)
class Traces:
    """m members at C checkpoints, which are the same steps of training for all of them."""

    member: NDArray[np.int32]
    """Index of each member, shape [m]."""
    included: Mask
    """Training examples that each member saw, shape [m, n_train]."""
    steps: NDArray[np.int32]
    """Steps taken at each checkpoint, shape [C], ascending; the last is the end of training."""
    rates: Floats
    """Learning rate of the step before each checkpoint, shape [C]; of an optimizer of the user's, its share
    of the peak."""
    costs: Mapping[str, Floats]
    """What each observer costs a member, in trainings of one network, shape [m]."""
    quantities: Mapping[str, NDArray[Any]]
    """By name: one number per example, [m, C, n_train]; or of vectors, which are of the last checkpoint
    alone, [m, n_train, d]."""

    def __len__(self) -> int:
        return len(self.member)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A quantity. Raises `MemregError` where these traces have none of this name."""
        if name not in self.quantities:
            known = ", ".join(self.quantities)
            raise MemregError(f"the traces have no quantity '{name}': they have {known}")
        return self.quantities[name]

    def part(self, rows: Any) -> "Traces":
        """The members that a mask [m], indices or a slice choose."""
        return replace(
            self,
            member=self.member[rows],
            included=self.included[rows],
            costs={name: cost[rows] for name, cost in self.costs.items()},
            quantities={name: values[rows] for name, values in self.quantities.items()},
        )

    def with_earlier(self, earlier: "Traces") -> "Traces":
        """With what an earlier look at the same members, at the same checkpoints, has seen beside."""
        quantities = {**earlier.quantities, **self.quantities}
        return replace(self, quantities=quantities, costs={**earlier.costs, **self.costs})

    def mean(self, values: NDArray[Any]) -> Floats:
        """Mean over the members that saw an example, [n_train]; NaN where none did. values: [m, n_train].

        A member whose value is NaN, since it diverged, is not counted.
        """
        seen = self.included & ~np.isnan(values)
        total, count = np.where(seen, values, 0).sum(0, dtype=float), seen.sum(0)
        mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return mean
