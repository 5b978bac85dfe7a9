"""The recipe of an audit, by how many images there are and how large they are."""

from hypothesis import given
from hypothesis import strategies as st

from memreg.grid import plan_cell
from memreg.models import build
from memreg.suited import suited, suited_side

COUNTS = st.integers(20, 1_000_000)
SIDES = st.integers(1, 10_000)


@given(COUNTS, COUNTS)
def test_more_images_are_seen_less_often_each_but_more_in_all(a: int, b: int) -> None:
    few, many = sorted((a, b))
    epochs = [suited(n)["epochs"] for n in (few, many)]
    assert epochs[0] >= epochs[1]
    assert few * epochs[0] <= 1.1 * many * epochs[1]


@given(COUNTS)
def test_it_is_a_recipe_with_steps_enough_to_learn(n: int) -> None:
    fields = suited(n)
    plan = plan_cell({"dataset": "digits", "members": 40, **fields}, "here")
    steps = plan.recipe.epochs * plan.design.size(n) / plan.recipe.batch_size
    assert plan.recipe.epochs >= 10
    assert n < 100 or steps >= 150


@given(SIDES, SIDES)
def test_images_are_never_enlarged_but_to_what_networks_take(a: int, b: int) -> None:
    small, large = sorted((a, b))
    assert 8 <= suited_side(small) <= suited_side(large) <= 32
    assert suited_side(large) <= max(8, large)


def test_networks_take_every_size_that_is_suited() -> None:
    for side in {suited_side(typical) for typical in range(1, 100)}:
        build(suited(1000)["model"], (3, side, side), 2)
