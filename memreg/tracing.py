"""What of training is kept: at which checkpoints, and by which observers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.user_code import digest, is_code

OBSERVERS = ("curvature", "gradient_norm", "features", "last_layer", "queries")
"""memreg's own, beside what every trace has: `memreg.observers` says what they are."""
CHECKPOINTS = 20


@dataclass(frozen=True)
class Tracing:
    """That members of a cell keep a trace."""

    members: int
    """The first so many keep one."""
    checkpoints: int = CHECKPOINTS
    observers: tuple[tuple[str, str], ...] = ()
    """Names of what looks at the network, and of the user's own the SHA-256 of its source, else ""."""

    @classmethod
    def by(cls, members: int, checkpoints: int, observers: str) -> "Tracing":
        """observers: names, with commas between. Raises `MemregError` for a name that is none."""
        names = dict.fromkeys(name.strip() for name in observers.split(",") if name.strip())
        return cls(members, checkpoints, tuple((name, _digest(name)) for name in names))

    def of(self, members: int, observers: Iterable[str]) -> "Tracing":
        """Of so many members, with these observers beside its own."""
        more = tuple((name, _digest(name)) for name in observers if name not in dict(self.observers))
        return Tracing(members, self.checkpoints, (*self.observers, *more))

    def at(self, steps: int) -> NDArray[np.int32]:
        """Steps of a training of so many after which its checkpoints are: spread evenly, the last at its end.

        Where there are fewer steps than checkpoints, after each of them.
        """
        share = np.arange(1, self.checkpoints + 1) / self.checkpoints
        return np.unique(np.ceil(share * steps - 1e-9).astype(np.int32))

    def met_by(self, steps: NDArray[Any], observers: dict[str, str]) -> bool:
        """Whether a stored trace, of checkpoints after these steps and by these observers, has all of it."""
        return np.array_equal(self.at(int(steps[-1])), steps) and all(
            observers.get(name) == source for name, source in self.observers
        )


def _digest(name: str) -> str:
    if is_code(name):
        return digest("observer", name)
    if name not in OBSERVERS:
        known = ", ".join(OBSERVERS)
        raise MemregError(f"unknown observer '{name}': one of {known}, or package.module:function")
    return ""
