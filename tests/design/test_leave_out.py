"""Designs that leave out chosen examples, and designs that keep neighbours apart."""

import json
from itertools import pairwise

import numpy as np
import pytest
from groups import masks
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from memreg.cell import Cell
from memreg.design import All, Candidates, Design, Fixed, LeaveGroupOut, LeaveOneOut, Spread, Subsets
from memreg.design.base import dealt
from memreg.errors import MemregError
from memreg.recipe import Recipe

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def groupings(draw, n=60):
    """Disjoint groups of some of n examples."""
    order = draw(st.permutations(range(n)))
    sizes = draw(st.lists(st.integers(2, 5), max_size=8))
    ends = np.cumsum([0, *sizes])
    return tuple(tuple(order[a:b]) for a, b in pairwise(ends))


@given(groupings(), st.sampled_from([0.5, 0.7, 0.9, 0.95]), SEEDS, st.integers(0, 3))
def test_spread_blocks_are_balanced_and_keep_neighbours_apart(groups, r, seed, block):
    design = Spread(r=r, seed=seed, neighbours=groups)
    n = 60
    included = masks(design, range(block * design.folds, (block + 1) * design.folds), n)
    assert (included.sum(0) == design.folds - design.left_out).all()
    assert (abs(included.sum(1) - r * n) <= design.left_out).all()
    apart = design.folds // design.left_out
    for group in groups:
        together = (~included[:, list(group)]).sum(1).max()
        assert together <= -(-len(group) // apart)


def test_a_group_larger_than_the_folds_is_spread_as_evenly_as_can_be():
    included = masks(Spread(r=0.9, neighbours=(tuple(range(25)),)), range(10), 100)
    assert set((~included[:, :25]).sum(1)) == {2, 3}


def test_spread_without_neighbours_leaves_pairs_out_together_as_random_folds_do():
    included = masks(Spread(r=0.7), range(3000), 50)
    together = (~included).T.astype(int) @ (~included) / 3000
    off = together[~np.eye(50, dtype=bool)]
    assert off.mean() == pytest.approx(0.3 * (0.3 * 50 - 1) / 49, abs=0.003)
    assert off.std() < 0.012


@given(st.integers(0, 200), SEEDS)
def test_leave_one_out_leaves_out_exactly_one_target(member, seed):
    design = LeaveOneOut(targets=(3, 17, 40), seed=seed)
    mask = design.included(member, 50)
    assert np.flatnonzero(~mask).tolist() == [design.targets[member % 3]]
    assert design.size(50) == All().size(50) == 50
    assert design.member_seed(member) == All(seed=seed).member_seed(member)
    assert design.block(member) == member // 3


@given(groupings(), st.integers(0, 20), SEEDS)
def test_every_round_of_groups_leaves_out_every_target_once_and_neighbours_apart(groups, turn, seed):
    targets = tuple(range(0, 60, 2))
    design = LeaveGroupOut(targets=targets, groups=6, neighbours=groups, seed=seed)
    included = masks(design, range(turn * 6, turn * 6 + 6), 60)
    assert ((~included).sum(0) == np.isin(np.arange(60), targets)).all()
    assert set((~included).sum(1)) == {5}
    for group in groups:
        assert (~included[:, list(group)]).sum(1).max() <= 1


def test_groups_are_dealt_anew_in_every_round():
    design = LeaveGroupOut(targets=tuple(range(40)), groups=4)
    partners = {frozenset(design.left_out(m).tolist()) for m in range(40)}
    assert len(partners) == 40


def test_everything_may_be_inside_one_fixed_subset():
    design = LeaveOneOut(targets=(5, 90), r=0.5, kept=(7, 8), seed=3)
    both = masks(design, range(4), 100)
    base = design.everything.included(0, 100)
    assert isinstance(design.everything, Fixed)
    assert base.sum() == 50
    assert base[[5, 90, 7, 8]].all()
    assert (masks(design.everything, range(5), 100) == base).all()
    for mask, target in zip(both, (5, 90, 5, 90), strict=True):
        assert np.flatnonzero(mask != base).tolist() == [target]
    other = LeaveOneOut(targets=(5, 90), r=0.5, kept=(7, 8), seed=4)
    assert (other.everything.included(0, 100) != base).any()
    assert design.size(100) == 50


@given(groupings(), st.sampled_from([0.5, 0.8, 0.9]), SEEDS, st.integers(0, 3))
def test_candidates_and_audit_alone_are_left_out_equally_often_and_neighbours_apart(groups, r, seed, block):
    candidates, audit = tuple(range(0, 40, 2)), (41, 43, 55)
    design = Candidates(r=r, seed=seed, candidates=candidates, audit=audit, neighbours=groups)
    included = masks(design, range(block * design.folds, (block + 1) * design.folds), 60)
    dealt = np.isin(np.arange(60), [*candidates, *audit])
    assert ((~included).sum(0) == design.left_out * dealt).all()
    assert design.size(60) == All().size(60) == 60
    for group in groups:
        own = [i for i in group if dealt[i]]
        assert (~included[:, own]).sum(1).max() <= -(-len(own) // (design.folds // design.left_out))


def test_an_audit_is_of_other_examples():
    with pytest.raises(ValidationError, match="audit: 3 is a candidate"):
        Candidates(candidates=(1, 2, 3), audit=(3, 4))
    with pytest.raises(MemregError, match="name more candidates"):
        Candidates(candidates=(1, 2, 3)).check(50)
    with pytest.raises(MemregError, match="no training example 70"):
        Candidates(candidates=(*range(20), 70)).check(50)


def test_dealing_is_uniform():
    counts = np.zeros((6, 3))
    for key in range(3000):
        fold = dealt(np.arange(6), [(0, 1)], 3, 1, key)
        assert fold[0] != fold[1]
        counts[np.arange(6), fold] += 1
    assert np.abs(counts / 3000 - 1 / 3).max() < 0.04


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeaveOneOut(targets=()), "at least 1"),
        (lambda: LeaveOneOut(targets=(1, 1)), "twice"),
        (lambda: LeaveOneOut(targets=(-1,)), "greater than or equal"),
        (lambda: LeaveOneOut(targets=(1,), kept=(2,)), "r below 1"),
        (lambda: LeaveGroupOut(targets=(1, 2, 3), groups=4), "at most 3"),
        (lambda: LeaveGroupOut(targets=(1, 2, 3, 4), groups=2, neighbours=((1, 2, 3),)), "at least 3"),
        (lambda: Spread(neighbours=((1, 2), (2, 3))), "twice"),
    ],
)
def test_what_cannot_be_designed_is_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


@pytest.mark.parametrize(
    "design",
    [
        LeaveOneOut(targets=(100,)),
        Spread(neighbours=((3, 100),)),
        LeaveOneOut(targets=(1, 2, 3), r=0.02),
        Fixed(r=0.5, kept=(100,)),
    ],
)
def test_what_does_not_fit_the_data_is_refused(design):
    with pytest.raises(MemregError):
        design.check(100)


def test_a_cell_holds_its_design_whole_and_its_params_are_short():
    groups = tuple((2 * i, 2 * i + 1) for i in range(3000))
    design = Spread(neighbours=groups)
    cell = Cell(dataset="d", dataset_fingerprint="f", recipe=Recipe(model="m"), design=design)
    again = Cell.model_validate_json(cell.canonical_json())
    assert again == cell
    assert again.hash == cell.hash
    assert len(json.loads(cell.canonical_json())["design"]["neighbours"]) == 3000
    assert all(len(str(value)) < 500 for value in cell.params().values())
    shuffled = tuple(tuple(reversed(group)) for group in reversed(groups))
    assert cell.with_design(Spread(neighbours=shuffled)).hash == cell.hash
    assert cell.with_design(Spread(neighbours=groups[:-1])).hash != cell.hash
    assert cell.with_design(Spread(neighbours=groups[:-1])).params() != cell.params()
    few = cell.with_design(LeaveOneOut(targets=(4, 7)))
    assert few.params()["targets"] == [4, 7]


def test_designs_that_there_were_before_have_the_same_identity():
    """Their canonical JSON has no new field: cells that are stored are found again."""
    dump = TypeAdapter(Design).dump_python
    assert dump(Subsets()) == {"seed": 0, "r": 0.7, "kind": "subsets", "version": 2}
    assert dump(All()) == {"seed": 0, "kind": "all"}
