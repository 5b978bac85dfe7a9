"""Removal of chosen examples: the arms of a marginal utility experiment (section 3.3)."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from memreg import random
from memreg.design.base import MASK, BaseDesign, Examples, check_examples
from memreg.errors import MemregError

Pool = tuple[Annotated[int, Field(ge=1)], Examples]
"""How many, of which examples."""


def _disjoint_pools(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    everyone = [example for _, examples in pools for example in examples]
    if len(set(everyone)) < len(everyone):
        raise ValueError("must not name an example in two pools")
    if any(count > len(examples) for count, examples in pools):
        raise ValueError("must not leave out more examples than a pool has")
    return tuple(sorted((count, tuple(sorted(examples))) for count, examples in pools))


class Removal(BaseDesign):
    """From each pool every member leaves out `count` examples at random; whole pools are left out by all.

    Members train for as many steps as those on everything, and member i has the seed of member i there.
    """

    kind: Literal["removal"] = "removal"
    pools: Annotated[tuple[Pool, ...], Field(min_length=1), AfterValidator(_disjoint_pools)]

    def included(self, member: int, n: int) -> NDArray[np.bool_]:
        mask = np.ones(n, bool)
        for number, (count, examples) in enumerate(self.pools):
            pool = np.array(examples)
            if count < len(pool):
                pool = pool[random.order(len(pool), self.seed, MASK, member, number)[:count]]
            mask[pool] = False
        return mask

    def block(self, member: int) -> int:
        return member

    def size(self, n: int) -> int:
        return n

    def check(self, n: int) -> None:
        check_examples("pools", (max(examples) for _, examples in self.pools), n)
        if sum(count for count, _ in self.pools) >= n:
            raise MemregError(f"all {n} training examples are removed: there is nothing left to train on")
