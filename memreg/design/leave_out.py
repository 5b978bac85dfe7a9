"""Leave-one-out, its groups, and what both are compared with: Equation 1 to the letter.

The members of `everything` give its first term, those of a leave-out design its second.
"""

from abc import abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from memreg import random
from memreg.design.base import (
    FIXED,
    MASK,
    BaseDesign,
    Examples,
    Neighbours,
    check_examples,
    dealt,
)
from memreg.errors import MemregError


class All(BaseDesign):
    """Every member sees every example: the first term of Equation 1 for all of them."""

    kind: Literal["all"] = "all"

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        return np.ones(n, bool)

    def block(self, member: int) -> int:
        return member

    def size(self, n: int) -> int:
        return n


class Fixed(BaseDesign):
    """Every member sees the same random subset of size rn, which contains the examples `kept`."""

    kind: Literal["fixed"] = "fixed"
    r: float = Field(gt=0, lt=1)
    kept: Examples = ()

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        mask = np.zeros(n, bool)
        mask[list(self.kept)] = True
        others = random.order(n, self.seed, FIXED)
        others = others[~mask[others]]
        mask[others[: self.size(n) - len(self.kept)]] = True
        return mask

    def block(self, member: int) -> int:
        return member

    def size(self, n: int) -> int:
        return round(self.r * n)

    def check(self, n: int) -> None:
        check_examples("kept", self.kept, n)
        if self.size(n) < len(self.kept):
            raise MemregError(
                f"r = {self.r} of {n} training examples is fewer than the {len(self.kept)} to be kept: "
                "choose a larger r, or fewer targets"
            )


class _LeaveOut(BaseDesign):
    """Rounds of members that together leave out every target once, each member one group of them.

    With r below 1, all of it inside one fixed subset of size rn that contains the targets and `kept`: with
    the targets' neighbours kept, the size of the training set changes but their company does not.
    """

    targets: Examples = Field(min_length=1)
    r: float = Field(1.0, gt=0, le=1)
    kept: Examples = ()

    @model_validator(mode="after")
    def _keeps_something_only_in_a_subset(self) -> "_LeaveOut":
        if self.r == 1 and self.kept:
            raise ValueError("kept is for r below 1: everything is kept at r = 1")
        return self

    @property
    @abstractmethod
    def round(self) -> int:
        """Members of a round."""

    @abstractmethod
    def left_out(self, member: int) -> NDArray[np.int64]:
        """The targets that a member leaves out."""

    @property
    def everything(self) -> All | Fixed:
        """The design of members that leave out none of the targets."""
        if self.r == 1:
            return All(seed=self.seed)
        return Fixed(seed=self.seed, r=self.r, kept=tuple(sorted({*self.targets, *self.kept})))

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        mask = self.everything.included(member, n)
        mask[self.left_out(member)] = False
        return mask

    def block(self, member: int) -> int:
        return member // self.round

    def size(self, n: int) -> int:
        """That of `everything`: no member trains for fewer steps than those it is compared with."""
        return self.everything.size(n)

    def check(self, n: int) -> None:
        check_examples("targets", self.targets, n)
        self.everything.check(n)


class LeaveOneOut(_LeaveOut):
    """Member i is trained without target i mod T of T targets, on everything else."""

    kind: Literal["leave_one_out"] = "leave_one_out"

    @property
    def round(self) -> int:
        return len(self.targets)

    def left_out(self, member: int) -> NDArray[np.int64]:
        return np.array([self.targets[member % self.round]])


class LeaveGroupOut(_LeaveOut):
    """Every round deals the targets anew into `groups` groups, neighbours apart; each member leaves one out.

    As good as leave-one-out for a target as long as nobody in its group matters to it, and cheaper by
    the size of the groups.
    """

    kind: Literal["leave_group_out"] = "leave_group_out"
    groups: int = Field(ge=2)
    neighbours: Neighbours = ()

    @model_validator(mode="after")
    def _can_keep_neighbours_apart(self) -> "LeaveGroupOut":
        targets = set(self.targets)
        most = max((len(targets.intersection(group)) for group in self.neighbours), default=1)
        if not most <= self.groups <= len(targets):
            raise ValueError(
                f"{self.groups} groups: there must be at least {most}, the targets that are each other's "
                f"neighbours, and at most {len(targets)}, one for each target"
            )
        return self

    @property
    def round(self) -> int:
        return self.groups

    def left_out(self, member: int) -> NDArray[np.int64]:
        targets = np.array(self.targets)
        fold = dealt(targets, self.neighbours, self.groups, 1, self.seed, MASK, self.block(member))
        mine: NDArray[np.int64] = targets[fold == member % self.groups]
        return mine
