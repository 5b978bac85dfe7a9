"""Random subsets of size rn: Feldman & Zhang's design in balanced blocks, and one that spreads neighbours."""

from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from memreg import random
from memreg.design.base import MASK, BaseDesign, Neighbours, check_examples, dealt
from memreg.errors import MemregError


class _Folds(BaseDesign):
    """Balanced blocks: with r = 1 - d/q in lowest terms, each block of q members deals the examples into
    q folds, and its member j leaves out the folds j, ..., j+d-1 (mod q).

    In a whole block every example is left out exactly d times, and when q divides n every member sees
    exactly rn examples.
    """

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


class Subsets(_Folds):
    """Random folds: Feldman & Zhang's design without its imbalance."""

    kind: Literal["subsets"] = "subsets"

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        position = member % self.folds
        folds = np.array_split(random.order(n, self.seed, MASK, self.block(member)), self.folds)
        mask = np.ones(n, bool)
        for fold in range(position, position + self.left_out):
            mask[folds[fold % self.folds]] = False
        return mask


class Spread(_Folds):
    """Random folds with neighbours dealt to folds that no member leaves out together.

    So a member that leaves out an example includes its neighbours, as leave-one-out does, unless a group
    of them has more than q/d examples. At r = .9 and more, where networks hardly differ from those on
    everything, its score is close to Equation 1's.
    """

    kind: Literal["spread"] = "spread"
    r: float = Field(0.9, gt=0, lt=1)
    neighbours: Neighbours = ()

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        fold = dealt(
            np.arange(n), self.neighbours, self.folds, self.left_out, self.seed, MASK, self.block(member)
        )
        mask: NDArray[np.bool_] = (fold - member) % self.folds >= self.left_out
        return mask

    def check(self, n: int) -> None:
        super().check(n)
        check_examples("neighbours", (max(group) for group in self.neighbours), n)


def _fraction(r: float) -> Fraction:
    return Fraction(r).limit_denominator(100)
