"""What every design keeps to."""

import numpy as np
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.design.base import BaseDesign
from memreg.recipe import Recipe


class DesignSuite:
    """Set `design`."""

    design: BaseDesign
    n = 60
    """Training examples."""
    members = 40
    leaves_out_each = True
    """Whether each example is left out by some of the members, and seen by others."""

    def masks(self, members: range) -> NDArray[np.bool_]:
        """[members, n], asked of a design that has not been asked before."""
        fresh = self.design.model_copy()
        return np.stack([fresh.included(member, self.n) for member in members])

    def test_a_row_is_a_mask_with_some_example(self) -> None:
        self.design.check(self.n)
        masks = self.masks(range(self.members))
        assert masks.dtype == np.bool_
        assert masks.shape == (self.members, self.n)
        assert masks.any(1).all()
        assert 1 <= self.design.size(self.n) <= self.n

    def test_columns_have_members_of_both_kinds(self) -> None:
        if self.leaves_out_each:
            share = self.masks(range(self.members)).mean(0)
            assert ((share > 0) & (share < 1)).all()

    def test_members_do_not_depend_on_the_order_in_which_they_are_asked_for(self) -> None:
        backwards = self.masks(range(self.members - 1, -1, -1))[::-1]
        assert (backwards == self.masks(range(self.members))).all()

    def test_more_members_later_change_none(self) -> None:
        first, more = self.masks(range(self.members)), self.masks(range(2 * self.members))
        assert (more[: self.members] == first).all()
        blocks = [self.design.block(member) for member in range(2 * self.members)]
        assert blocks[: self.members] == [self.design.block(member) for member in range(self.members)]
        assert blocks == sorted(blocks)

    def test_every_member_has_a_seed_of_its_own(self) -> None:
        seeds = [self.design.member_seed(member) for member in range(self.members)]
        assert len(set(seeds)) == self.members
        assert all(0 <= seed < 2**63 for seed in seeds)

    def test_what_is_stored_of_it_is_the_same_design(self) -> None:
        recipe = Recipe(model="vgg3-w4")
        cell = Cell(dataset="x", dataset_fingerprint="0" * 64, recipe=recipe, design=self.design)
        again = Cell.model_validate_json(cell.canonical_json())
        assert again.design == self.design
        assert again.hash == cell.hash
