"""Wrong labels by votes: recomputed one by one, and the interval's exact coverage."""

import numpy as np
import pytest
from scipy.stats import multinomial

from memreg.estimators.label_check import FEWEST, check, votes


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
    assert low[2] < 0 < low[3] < low[-1] < 1


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 8, 12, 20, 40])
def test_the_lower_end_is_below_the_true_difference_as_often_as_it_says(n):
    """By the exact distribution of the votes, for all shares of the label, of another class and of none."""
    against, given = (part.ravel() for part in np.indices((n + 1, n + 1)))
    possible = against + given <= n
    counted = np.column_stack([given, against, n - against - given])[possible]
    low = check(counted, np.zeros(len(counted), int)).low
    covered = []
    for p in np.linspace(0.02, 1, 15):
        for q in np.linspace(0, 1 - p, 10):
            chance = multinomial.pmf(counted, n, [q, p, max(0.0, 1 - p - q)])
            covered.append(np.sum(chance[low <= p - q + 1e-9]))
    assert 0.975 <= min(covered) + 1e-9 <= 0.995


def test_votes_of_which_fewer_are_cast_than_it_takes_call_no_label_wrong():
    counted = np.array([[0, FEWEST - 1, 0], [0, FEWEST, 0], [1, FEWEST, 0]])
    assert check(counted, np.zeros(3, int)).likely.tolist() == [False, True, False]
