"""Leave-one-out's counts, its stopping rule, and intervals that cover."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import confint_proportions_2indep

from memreg.estimators.counts import Counts
from memreg.estimators.leave_one_out import leave_one_out, missing
from memreg.estimators.scores import difference_interval, scores


def counts(n1, right1, n0, right0):
    return Counts(*(np.asarray(a) for a in np.broadcast_arrays(n1, right1, n0, right0)))


@pytest.mark.parametrize("k", [50, 100, 400, 1000, 4000])
@pytest.mark.parametrize("r", [0.7, 0.9])
def test_intervals_cover_the_true_score_from_50_members_to_4000(k, r):
    """Nominal 95 %, over examples whose two proportions are anywhere."""
    rng = np.random.default_rng(k)
    n, n1 = 100_000, round(r * k)
    p1, p0 = rng.uniform(0.5, 1, n), rng.uniform(0, 1, n)
    table = scores(counts(n1, rng.binomial(n1, p1), k - n1, rng.binomial(k - n1, p0)))
    covered = ((table.low <= p1 - p0) & (p1 - p0 <= table.high)).mean()
    assert 0.94 <= covered <= 0.99


@pytest.mark.parametrize(("n1", "n0"), [(14, 6), (35, 15), (140, 60), (700, 300), (400, 100)])
def test_intervals_cover_at_every_pair_of_proportions(n1, n0):
    """Exactly, by enumeration of all counts; also where a proportion is 0 or 1, or nearly."""
    right = np.stack([g.ravel() for g in np.meshgrid(np.arange(n1 + 1), np.arange(n0 + 1), indexing="ij")])
    low, high = difference_interval(right[0], n1, right[1], n0)
    proportions = (0, 0.0005, 0.002, 0.01, 0.02, 0.2, 0.5, 0.95, 0.99, 0.998, 1)
    for p1, p0 in itertools.product(proportions, proportions):
        p = binom.pmf(right[0], n1, p1) * binom.pmf(right[1], n0, p0)
        covered = p[(low <= p1 - p0 + 1e-12) & (p1 - p0 - 1e-12 <= high)].sum()
        assert covered >= 0.94, (p1, p0)


def test_intervals_are_not_much_wider_than_newcombes():
    rng = np.random.default_rng(0)
    for (n1, n0), most in {(28, 12): 1.15, (140, 60): 1.08, (700, 300): 1.04}.items():
        a, b = rng.binomial(n1, rng.uniform(0.5, 1, 5000)), rng.binomial(n0, rng.uniform(0, 1, 5000))
        low, high = difference_interval(a, n1, b, n0)
        theirs = confint_proportions_2indep(a, n1, b, n0, method="newcomb", compare="diff")
        assert 1 < np.mean(high - low) / np.mean(theirs[1] - theirs[0]) < most


@pytest.mark.parametrize("k", [50, 100, 1000])
def test_leave_one_out_intervals_cover(k):
    rng = np.random.default_rng(k)
    n = 100_000
    p1, p0 = rng.uniform(0.9, 1, n), rng.uniform(0, 1, n)
    everything = counts(400, rng.binomial(400, p1), 0, np.zeros(n, int))
    without = counts(9, np.full(n, 5), k, rng.binomial(k, p0))
    table = scores(leave_one_out(everything, without))
    assert (table.included_count == 400).all()
    assert (table.excluded_count == k).all()
    covered = ((table.low <= p1 - p0) & (p1 - p0 <= table.high)).mean()
    assert 0.93 <= covered <= 0.985


def halfwidths(c):
    table = scores(c)
    return ((table.high - table.low) / 2).to_numpy()


def test_the_stopping_rule_narrows_every_interval_and_spends_where_they_are_wide():
    rng = np.random.default_rng(0)
    p1, p0 = np.full(60, 0.97), np.concatenate([np.full(20, 0.5), np.full(40, 0.99)])
    n1, n0 = 40, np.full(60, 20)
    right1, right0 = rng.binomial(n1, p1), rng.binomial(n0, p0)
    for _ in range(12):
        c = counts(np.full(60, n1), right1, n0, right0)
        more, each = missing(c, 0.08)
        if not more and not each.any():
            break
        n1, right1 = n1 + more, right1 + rng.binomial(more, p1)
        n0, right0 = n0 + each, right0 + rng.binomial(each, p0)
    assert halfwidths(c).max() <= 0.08
    assert n0[:20].min() > 2.5 * n0[20:].max()
    assert n0[:20].max() < 220  # (1.96 / 0.08)^2 / 4 = 150 for the second term alone


def test_narrow_intervals_ask_for_nothing():
    more, each = missing(counts([400], [400], [400], [400]), 0.05)
    assert more == 0
    assert each.tolist() == [0]


def test_a_wide_interval_always_asks_for_something():
    for right in range(0, 101, 10):
        c = counts([1000], [1000], [100], [right])
        for halfwidth in (0.01, halfwidths(c)[0] - 1e-6):
            more, each = missing(c, halfwidth)
            assert more > 0 or each[0] > 0
