"""Random subsets of size rn: Feldman & Zhang's design in balanced blocks, and one that spreads neighbours."""

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from memreg import random
from memreg.design.base import MASK, BaseDesign, Examples, Neighbours, check_examples, dealt
from memreg.errors import MemregError


class _Folds(BaseDesign):
    """Balanced blocks: with r = 1 - d/q in lowest terms, each block of q members deals the examples into
    q folds, of which each member leaves out d.

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

    @property
    def kept_apart(self) -> int:
        """Of a group of neighbours, how many a design can deal so that no member leaves out two: q / d."""
        return self.folds // self.left_out

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
    """Random folds: Feldman & Zhang's design without its imbalance.

    Member j of a block leaves out the folds j + o (mod q) for each of d offsets o. Version 1 took the
    offsets 0..d-1, so that neighbouring folds were left out together too often: the number of members
    of a block that leave out both of two examples had a variance of 1.09 at r = .7, where independent
    subsets have 0.63. Version 2 takes `spread_offsets`, with a variance of 0.69. Stored cells keep the
    version with which they were trained. Where both versions have the same masks, the version is 1.
    """

    kind: Literal["subsets"] = "subsets"
    version: Literal[1, 2] = 2

    @model_validator(mode="after")
    def _is_the_first_version_with_these_masks(self) -> Self:
        if spread_offsets(self.folds, self.left_out) == tuple(range(self.left_out)):
            object.__setattr__(self, "version", 1)
        return self

    @model_serializer(mode="wrap")
    def _without_version_1(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cells of version 1 are identified by JSON that has no version."""
        content: dict[str, Any] = serialise(self)
        if self.version == 1:
            content.pop("version", None)
        return content

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        folds = np.array_split(random.order(n, self.seed, MASK, self.block(member)), self.folds)
        offsets = range(self.left_out) if self.version == 1 else spread_offsets(self.folds, self.left_out)
        mask = np.ones(n, bool)
        for offset in offsets:
            mask[folds[(member + offset) % self.folds]] = False
        return mask


class Spread(_Folds):
    """Random folds with neighbours dealt to folds that no member leaves out together.

    Member j of a block leaves out the consecutive folds j, ..., j+d-1 (mod q), since folds that are d
    apart are then never left out together, which keeps the most neighbours apart.
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


class Candidates(_Folds):
    """Spread folds of the examples that may be memorized; the others are in every member.

    Members leave out few examples each and stay close to networks on everything, and still leave each
    candidate out often. A random sample of the others, `audit`, is dealt along with the candidates: what it
    scores says what the others would. Members train for as many steps as those on everything, as
    leave-one-out's do.
    """

    kind: Literal["candidates"] = "candidates"
    r: float = Field(0.9, gt=0, lt=1)
    candidates: Examples = Field(min_length=1)
    audit: Examples = ()
    neighbours: Neighbours = ()

    @model_validator(mode="after")
    def _audits_others(self) -> Self:
        if both := set(self.candidates).intersection(self.audit):
            raise ValueError(f"audit: {min(both)} is a candidate: the audit is of other examples")
        return self

    @property
    def dealt(self) -> tuple[int, ...]:
        """Examples that members leave out, ascending."""
        return tuple(sorted((*self.candidates, *self.audit)))

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        examples = np.array(self.dealt)
        fold = dealt(
            examples, self.neighbours, self.folds, self.left_out, self.seed, MASK, self.block(member)
        )
        mask = np.ones(n, bool)
        mask[examples[(fold - member) % self.folds < self.left_out]] = False
        return mask

    def size(self, n: int) -> int:
        return n

    def check(self, n: int) -> None:
        check_examples("candidates", self.candidates, n)
        check_examples("audit", self.audit, n)
        check_examples("neighbours", (max(group) for group in self.neighbours), n)
        if len(self.dealt) < self.folds:
            raise MemregError(
                f"r = {self.r} needs {self.folds} folds, more than the {len(self.dealt)} examples that are "
                "left out: name more candidates, or another r"
            )


@cache
def spread_offsets(q: int, d: int) -> tuple[int, ...]:
    """d of the numbers 0..q-1, ascending, whose differences (mod q) are distributed evenly.

    Two examples in folds a and b are left out together by as many members of a block as there are pairs of
    offsets with the difference b - a. The offsets minimise the sum of the squares of those numbers: they
    are chosen one after the other, the smallest of equals, and then exchanged one for another as long as
    that helps. Of more than half of the folds the offsets are those that the rest leaves.
    """
    if 2 * d > q:
        rest = spread_offsets(q, q - d)
        return _from_0(offset for offset in range(q) if offset not in rest)
    chosen: list[int] = []
    while len(chosen) < d:
        chosen.append(_best(chosen, q))
    best = _unevenness(chosen, q)
    improved = True
    while improved:
        improved = False
        for offset in sorted(chosen):
            others = [o for o in chosen if o != offset]
            candidate = [*others, _best(others, q)]
            if (value := _unevenness(candidate, q)) < best:
                chosen, best, improved = candidate, value, True
    return _from_0(chosen)


def _from_0(offsets: Iterable[int]) -> tuple[int, ...]:
    """Ascending, less the first: a shift changes no difference."""
    ordered = sorted(offsets)
    return tuple(offset - ordered[0] for offset in ordered)


def _best(chosen: list[int], q: int) -> int:
    """The offset whose addition leaves the differences most even."""
    free = (offset for offset in range(q) if offset not in chosen)
    return min(free, key=lambda offset: _unevenness([*chosen, offset], q))


def _unevenness(offsets: list[int], q: int) -> int:
    """The sum of the squares of the numbers of pairs with each difference."""
    values = np.array(offsets)
    counts = np.bincount(((values[:, None] - values) % q).ravel(), minlength=q)
    return int((counts**2).sum())


def _fraction(r: float) -> Fraction:
    return Fraction(r).limit_denominator(100)
