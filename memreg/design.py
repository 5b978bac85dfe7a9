"""Which training examples each network sees.

A design answers two questions about member i of a data set with n training examples: which are
included, and which seed it has. Both follow from (design seed, i) alone, so members can be added
later, in any order, on any machine.
"""

from abc import abstractmethod
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from memreg import random
from memreg.errors import MemregError

MASK, MEMBER = 1, 2  # streams of one design seed


class _Design(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**32)

    @abstractmethod
    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        """Inclusion mask of one member, shape [n]."""

    @abstractmethod
    def block(self, member: int) -> int:
        """The block a member belongs to: blocks are independent of each other, members of one are not."""

    @abstractmethod
    def size(self, n: int) -> int:
        """Nominal number of included examples: what an epoch, and so the number of steps, is counted in."""

    def check(self, n: int) -> None:
        """Raise `MemregError` if this design cannot be had with n training examples."""

    def member_seed(self, member: int) -> int:
        return random.seed(self.seed, MEMBER, member)


class Subsets(_Design):
    """Random subsets of size rn in balanced blocks (Feldman & Zhang's design, without its imbalance).

    With r = 1 - d/q in lowest terms, each block of q members permutes the examples into q folds, and
    its member j leaves out the folds j, ..., j+d-1 (mod q). In a whole block every example is
    left out exactly d times, and when q divides n every member sees exactly rn examples.
    """

    kind: Literal["subsets"] = "subsets"
    r: float = Field(0.7, gt=0, lt=1)

    @field_validator("r")
    @classmethod
    def _is_a_fraction(cls, r: float) -> float:
        if abs(float(_fraction(r)) - r) > 1e-9:
            raise ValueError("must be 1 - d/q with whole numbers d < q <= 100, as 0.7 or 0.97")
        return r

    @property
    def folds(self) -> int:
        """q, the members of a block."""
        return _fraction(self.r).denominator

    @property
    def left_out(self) -> int:
        """d, the folds that a member leaves out."""
        return self.folds - _fraction(self.r).numerator

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        position = member % self.folds
        folds = np.array_split(random.order(n, self.seed, MASK, self.block(member)), self.folds)
        mask = np.ones(n, bool)
        for fold in range(position, position + self.left_out):
            mask[folds[fold % self.folds]] = False
        return mask

    def check(self, n: int) -> None:
        if n < self.folds:
            raise MemregError(
                f"r = {self.r} needs {self.folds} folds, more than the {n} training examples: "
                "use a data set with more of them, or another r"
            )

    def block(self, member: int) -> int:
        return member // self.folds

    def size(self, n: int) -> int:
        return round(self.r * n)


class All(_Design):
    """Every member sees every example: the first term of Equation 1 for all of them."""

    kind: Literal["all"] = "all"

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        return np.ones(n, bool)

    def block(self, member: int) -> int:
        return member

    def size(self, n: int) -> int:
        return n


Design = Annotated[Subsets | All, Field(discriminator="kind")]


def _fraction(r: float) -> Fraction:
    return Fraction(r).limit_denominator(100)
