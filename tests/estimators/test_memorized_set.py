"""The memorized set: its score test by brute force and exactly, its false discoveries and its power."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import xlog1py, xlogy
from scipy.stats import binom

from memreg.estimators.counts import Counts
from memreg.estimators.memorized_set import memorized_set, most_likely, p_values
from memreg.estimators.scores import scores


def counted(right1, n1, right0, n0):
    right1, right0 = np.atleast_1d(right1), np.atleast_1d(right0)
    return scores(Counts(np.full(right1.shape, n1), right1, np.full(right0.shape, n0), right0))


def drawn(p1, p0, n1, n0, seed):
    rng = np.random.default_rng(seed)
    return counted(rng.binomial(n1, p1), n1, rng.binomial(n0, p0), n0)


def by_brute_force(c1, n1, c0, n0, difference):
    """The most likely p0, by a grid and a search around its best point."""

    def loss(p):
        terms = (
            xlogy(c1, p + difference),
            xlog1py(n1 - c1, -p - difference),
            xlogy(c0, p),
            xlog1py(n0 - c0, -p),
        )
        return -np.nan_to_num(sum(terms), nan=-np.inf)

    with np.errstate(all="ignore"):
        grid = np.linspace(max(0, -difference), min(1, 1 - difference), 2001)
        best = loss(grid).argmin()
        around = grid[max(best - 1, 0)], grid[min(best + 1, 2000)]
        found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-12}).x
        return min(found, grid[best], key=loss)


@pytest.mark.parametrize("difference", [-0.9, -0.4, 0, 0.05, 0.25, 0.45, 0.5, 0.85, 0.99])
@pytest.mark.parametrize(("n1", "n0"), [(28, 12), (7, 3), (140, 60), (3, 20)])
def test_the_constrained_proportions_are_the_most_likely_ones(n1, n0, difference):
    rng = np.random.default_rng(0)
    c1, c0 = rng.integers(0, n1 + 1, 30), rng.integers(0, n0 + 1, 30)
    c1[:4], c0[:4] = [0, n1, 0, n1], [0, n0, n0, 0]
    found = most_likely(c1, n1, c0, n0, difference)
    assert found == pytest.approx(
        [by_brute_force(a, n1, b, n0, difference) for a, b in zip(c1, c0, strict=True)], abs=1e-6
    )


def test_a_p_value_by_hand():
    """With p0 = .549 and p1 = .799 under a difference of .25."""
    p0 = by_brute_force(28, 28, 4, 12, 0.25)
    z = (1 - 1 / 3 - 0.25) / np.sqrt(((p0 + 0.25) * (0.75 - p0) / 28 + p0 * (1 - p0) / 12) * 40 / 39)
    assert z == pytest.approx(3.29, abs=0.01)
    assert p_values(counted(28, 28, 4, 12), 0.25) == pytest.approx(0.0005, abs=0.00001)


def test_no_evidence_is_a_p_value_of_one_or_one_half():
    assert p_values(counted([0, 28], 28, [0, 12], 12), 0).tolist() == [1, 1]
    assert p_values(counted(14, 28, 6, 12), 0) == pytest.approx(0.5)
    assert p_values(counted(28, 28, 0, 12), 1).tolist() == [1]


@pytest.mark.parametrize(("n1", "n0"), [(28, 12), (70, 30), (280, 120)])
def test_at_a_difference_of_45_percent_the_test_has_its_size(n1, n0):
    """Exactly, by enumeration of all counts, for every pair of proportions that differ so much."""
    c1, c0 = (c.ravel() for c in np.meshgrid(np.arange(n1 + 1), np.arange(n0 + 1), indexing="ij"))
    rejected = p_values(counted(c1, n1, c0, n0), 0.45) <= 0.05
    p = np.linspace(0, 0.55, 111)[:, None]
    size = (binom.pmf(c1, n1, p + 0.45) * binom.pmf(c0, n0, p))[:, rejected].sum(1)
    assert 0.04 < size.max() < 0.062


@pytest.mark.parametrize(
    ("members", "threshold", "least"),
    [(40, 0.25, 0.98), (40, 0.45, 0.54), (100, 0.45, 0.975), (400, 0.45, 0.999)],
)
def test_the_set_controls_its_false_discoveries_and_finds_the_rest(members, threshold, least):
    """Half of the examples score exactly the threshold, the others well above it."""
    p0 = np.where(np.arange(2000) < 1000, 0.99 - threshold, 0.2)
    n1, false, found = round(0.7 * members), [], []
    for seed in range(20):
        table = drawn(np.full(2000, 0.99), p0, n1, members - n1, seed)
        chosen = memorized_set(table, threshold)
        false.append(chosen[:1000].sum() / max(chosen.sum(), 1))
        found.append(chosen[1000:].mean())
        assert (table["score"] >= threshold)[:1000].mean() > 0.3
    assert np.mean(false) <= 0.05
    assert np.mean(found) > least


def test_an_example_without_members_is_in_no_memorized_set():
    table = pd.concat([counted(9, 9, 0, 0), counted(9, 9, 0, 90)])
    assert memorized_set(table, 0.25).tolist() == [False, True]
