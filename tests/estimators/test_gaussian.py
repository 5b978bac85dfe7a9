"""Scores from the label's probabilities, on members whose log odds are drawn, so that the truth is known."""

import numpy as np
import pytest
from scipy.stats import norm

from memreg.estimators.counts import tally
from memreg.estimators.gaussian import confidence, normal_scores, right_at
from memreg.estimators.scores import exact_interval, scores
from memreg.margins import stored

T, TAU = -0.4, 0.3


def drawn(k, mean, sd, r=0.7, seed=0):
    """(included, correct, margin) [k, n]: included examples are right, the others as their log odds say."""
    rng = np.random.default_rng(seed)
    included = rng.random((k, len(mean))) < r
    odds = np.where(included, 4.0, rng.normal(mean, sd, (k, len(mean))))
    correct = rng.random(odds.shape) < norm.cdf((odds - T) / TAU)
    return included, correct, stored(odds)


def counted(included, correct):
    return tally(included, correct, np.zeros(len(included), int)).total


QUANTILES = -np.log1p(-(np.arange(2000) + 0.5) / 2000)
"""Of the exponential distribution."""


@pytest.mark.parametrize("k", [40, 200, 1000])
@pytest.mark.parametrize("side", [-1, 1])
def test_intervals_cover_where_odds_are_skewed(k, side):
    """The odds have an exponential tail, down or up, for which the normal distribution is wrong."""
    rng, n = np.random.default_rng(k), 500
    mean, sd = -side * rng.uniform(-1, 5, n), rng.uniform(1, 2.5, n)
    tail = side * sd * (rng.exponential(1, (k, n)) - 1)
    right = norm.cdf((mean + side * sd * (QUANTILES[:, None] - 1) - T) / TAU).mean(0)
    included = rng.random((k, n)) < 0.7
    odds = np.where(included, 6.0, mean + tail)
    correct = rng.random((k, n)) < norm.cdf((odds - T) / TAU)
    table = normal_scores(counted(included, correct), confidence(included, correct, odds))
    assert ((table.low <= 1 - right) & (1 - right <= table.high))[table.score.notna()].mean() >= 0.96


def test_intervals_of_saturated_examples_are_as_wide_as_their_counts():
    included, correct, margin = drawn(40, np.linspace(6, 12, 200), 1.0)
    counts = counted(included, correct)
    table = normal_scores(counts, confidence(included, correct, margin))
    low, high = exact_interval(counts.excluded_correct, counts.excluded)
    assert (table["score"].abs() < 1e-6).mean() > 0.5
    assert (table["high"] - table["score"]).min() > 0.15
    assert (table["high"] - table["low"] >= high - low - 1e-9).all()


@pytest.mark.parametrize("k", [50, 200, 1000, 4000])
def test_intervals_cover_and_errors_are_smaller_than_by_counting(k):
    rng = np.random.default_rng(k)
    n = 2000 if k < 4000 else 300
    mean, sd = rng.normal(0.5, 1.5, n), rng.uniform(0.8, 2, n)
    true = norm.cdf((T - mean) / np.hypot(sd, TAU))
    included, correct, margin = drawn(k, mean, sd, seed=k)
    counts = counted(included, correct)
    table, plain = normal_scores(counts, confidence(included, correct, margin)), scores(counts)
    known = table["score"].notna()
    assert known.mean() > 0.99
    assert ((table.low <= true) & (true <= table.high))[known].mean() >= 0.97
    ratio = (table.score - true).abs().mean() / (plain.score - true).abs().mean()
    assert 0.7 < ratio < 0.87
    error = np.sqrt(((table.score - true) ** 2).mean())
    assert np.sqrt((table.standard_error**2).mean()) == pytest.approx(error, rel=0.1)


def test_the_odds_at_which_a_class_is_the_label_are_found():
    included, correct, margin = drawn(500, np.linspace(-3, 3, 200), 1.0)
    assert right_at(confidence(included, correct, margin)) == pytest.approx((T, TAU), abs=0.02)


def test_with_two_classes_right_is_exactly_above_one_half():
    included, _, margin = drawn(500, np.linspace(-3, 3, 200), 1.0)
    t, tau = right_at(confidence(included, margin > 0, margin))
    assert abs(t) < 0.05
    assert tau < 0.1


def test_shards_add_up():
    included, correct, margin = drawn(90, np.linspace(-3, 3, 50), 1.0)
    whole = confidence(included, correct, margin)
    rows = (slice(0, 40), slice(40, 41), slice(41, 90))
    first, second, third = (confidence(included[r], correct[r], margin[r]) for r in rows)
    for name, value in vars(first + second + third).items():
        assert np.allclose(value, getattr(whole, name)), name
    assert whole.seen.sum() == whole.count.sum() == (~included).sum()


def test_certain_members_and_missing_ones():
    k = 40
    included = np.zeros((k, 4), bool)
    included[: k // 2] = True
    included[:, 2], included[:, 3] = True, False
    margin = np.full((k, 4), 9.0)
    margin[:, 1] = -9
    table = normal_scores(counted(included, margin > 0), confidence(included, margin > 0, margin))
    assert table["score"][:2].to_numpy() == pytest.approx([0, 0], abs=1e-6)
    assert table["excluded_accuracy"][:2].to_numpy() == pytest.approx([1, 0], abs=1e-6)
    assert table.iloc[2:].isna().all(axis=None)
