"""A design of the user's: `package.module:function`."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memreg import user_code
from memreg.design.base import BaseDesign
from memreg.errors import MemregError


class Named(BaseDesign):
    """The function says which examples a member sees: (n, seed, member) -> bool mask [n].

    It must give the same mask whenever it is asked. Members are taken as independent of each other, each a
    block of its own. All train for as many steps as the first.
    """

    kind: Literal["named"] = "named"
    function: str

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        mask = user_code.called("design", self.function, n, self.seed, member)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (n,):
            shape = getattr(mask, "shape", "")
            kind = getattr(mask, "dtype", type(mask).__name__)
            raise MemregError(
                f"design {self.function}: returned {kind} {shape}: it must return a bool mask of shape ({n},)"
            )
        if not mask.any():
            raise MemregError(f"design {self.function}: member {member} would see no example")
        return mask.copy()

    def block(self, member: int) -> int:
        return member

    def size(self, n: int) -> int:
        return int(self.included(0, n).sum())

    def check(self, n: int) -> None:
        for member in (0, 1):
            if not np.array_equal(self.included(member, n), self.included(member, n)):
                raise MemregError(
                    f"design {self.function}: gave member {member} two different masks: draw from "
                    "numpy.random.default_rng([seed, member])"
                )
