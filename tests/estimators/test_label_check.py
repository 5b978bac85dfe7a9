"""Wrong labels by votes: recomputed one by one, and the interval's coverage by simulation."""

import numpy as np
import pytest

from memreg.estimators.label_check import check, votes


def test_votes_are_of_members_that_exclude_the_example():
    rng = np.random.default_rng(0)
    included, predicted = rng.random((9, 30)) < 0.6, rng.integers(0, 4, (9, 30)).astype(np.uint8)
    counted = votes(included, predicted, 4)
    for example in range(30):
        said = [predicted[m, example] for m in range(9) if not included[m, example]]
        assert counted[example].tolist() == [said.count(c) for c in range(4)] + [0]


def test_a_wrong_class_that_is_not_known_is_a_vote_for_nobody():
    counted = votes(np.zeros((3, 1), bool), np.array([[254], [254], [1]], np.uint8), 2)
    assert counted.tolist() == [[0, 1, 2]]
    found = check(counted, np.array([0]))
    assert (found.proposed[0], found.agreement[0]) == (1, pytest.approx(1 / 3))


def test_what_is_proposed_is_never_the_label():
    found = check(np.array([[5, 3, 2, 0], [5, 0, 0, 0], [0, 0, 0, 0]]), np.array([0, 0, 1]))
    assert found.proposed.tolist() == [1, -1, -1]
    assert found.agreement[:2].tolist() == [0.3, 0.0]
    assert found.label_agreement[:2].tolist() == [0.5, 1.0]
    assert found.excluded_count.tolist() == [10, 5, 0]
    assert np.isnan([found.agreement[2], found.label_agreement[2], found.low[2]]).all()
    assert not found.likely.any()


def test_more_votes_are_surer_and_unanimous_ones_are_never_certain():
    counted = np.array([[0, n, 0] for n in (1, 2, 5, 10, 100)])
    low = check(counted, np.zeros(5, int)).low
    assert (np.diff(low) > 0).all()
    assert low[0] < 0 < low[2] < low[-1] < 1


@pytest.mark.parametrize("shares", [(0.1, 0.8, 0.1), (0.45, 0.5, 0.05), (0.02, 0.97, 0.01)])
@pytest.mark.parametrize("members", [10, 20, 60])
def test_the_lower_end_is_below_the_true_difference_as_often_as_it_says(shares, members):
    rng = np.random.default_rng(1)
    counted = np.column_stack([rng.multinomial(members, shares, 20_000), np.zeros(20_000, int)])
    counted[:, 1] += counted[:, 2]  # two classes: the proposed one is the same in all
    counted[:, 2] = 0
    low = check(counted, np.zeros(20_000, int)).low
    assert 0.94 <= (low <= 1 - 2 * shares[0]).mean() <= 1.0
