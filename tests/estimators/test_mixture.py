"""The share of true scores at or above a threshold, from noisy counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memreg.estimators import mixture
from memreg.estimators.counts import Counts
from memreg.estimators.scores import counted_fraction
from memreg.estimators.threshold import THRESHOLDS

AT = np.array([0.05, 0.25, 0.5, 0.75])


def population(kind, n, rng):
    """(p included, p excluded) of n examples."""
    if kind == "easy but for a few":
        hard = rng.random(n) < 0.1
        p0 = np.where(hard, rng.beta(1, 1, n), rng.beta(30, 0.5, n))
        return 1 - (1 - p0) * rng.beta(0.5, 20, n), p0
    if kind == "wrong labels":
        wrong = rng.random(n) < 0.2
        p0 = np.where(wrong, rng.beta(0.3, 12, n), rng.beta(5, 1, n))
        return 1 - (1 - p0) * rng.beta(0.5, 40, n), p0
    p0 = rng.beta(5, 1, n)  # hard, and hardly memorized
    return p0 + (1 - p0) * rng.beta(1, 9, n), p0


KINDS = ("easy but for a few", "wrong labels", "hard and not memorized")


def observed(p1, p0, members, rng, r=0.7):
    n1 = round(r * members)
    n0 = members - n1
    return Counts(np.full(len(p1), n1), rng.binomial(n1, p1), np.full(len(p0), n0), rng.binomial(n0, p0))


def estimated(counts, at=AT):
    return mixture.shares(mixture.fit(mixture.table(counts)), at)


@pytest.mark.parametrize("members", [20, 40, 100])
def test_the_bias_of_counting_is_gone(members):
    """Over the populations, the mean absolute bias is at most a fifth of counting's, or cannot be told from
    0; at a threshold of .05, where six or twelve exclusions say little, two fifths."""
    ours, counting = np.zeros((2, len(KINDS), len(AT)))
    times = 12
    for k, kind in enumerate(KINDS):
        for seed in range(times):
            rng = np.random.default_rng(seed)
            p1, p0 = population(kind, 1500, rng)
            truth = np.array([(p1 - p0 >= t).mean() for t in AT])
            counts = observed(p1, p0, members, rng)
            ours[k] += (estimated(counts) - truth) / times
            counting[k] += (np.array([counted_fraction(counts.score, t) for t in AT]) - truth) / times
    ours, counting = np.abs(ours).mean(0), np.abs(counting).mean(0)
    allowed = np.where(AT < 0.1, 2 / 5, 1 / 5)
    assert (ours <= np.maximum(allowed * counting, 0.003)).all(), (ours, counting)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_the_true_share(kind):
    covered, width = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p1, p0 = population(kind, 1000, rng)
        truth = np.array([(p1 - p0 >= t).mean() for t in AT])
        table = mixture.table(observed(p1, p0, 40, rng))
        low, high = mixture.share_intervals(table, mixture.fit(table), AT)
        covered.append((low <= truth) & (truth <= high))
        width.append(high - low)
    assert np.mean(covered) >= 0.95
    assert np.mean(width) < 0.3


def test_intervals_narrow_as_members_are_added():
    rng = np.random.default_rng(0)
    p1, p0 = population("wrong labels", 2000, rng)
    widths = []
    for members in (40, 400):
        table = mixture.table(observed(p1, p0, members, rng))
        low, high = mixture.share_intervals(table, mixture.fit(table), np.array([0.25]))
        widths.append(high[0] - low[0])
    assert widths[1] < widths[0] / 2


def test_no_distribution_is_clearly_more_likely_than_the_estimate():
    """The gap to the largest likelihood is at most n (max of the gradient - 1) (Lindsay 1983)."""
    rng = np.random.default_rng(3)
    counts = observed(*population("wrong labels", 1000, rng), 40, rng)
    table = mixture.table(counts)
    weights = mixture.fit(table)
    density = table.included @ weights @ table.excluded.T
    gradient = table.included.T @ (table.examples / density) @ table.excluded / table.examples.sum()
    assert weights.sum() == pytest.approx(1)
    assert table.examples.sum() * (gradient.max() - 1) < 25
    assert gradient[weights > 0.01].min() > 0.9


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_shares_fall_with_the_threshold_and_depend_on_no_order(seed):
    rng = np.random.default_rng(seed)
    p1, p0 = population(KINDS[seed % 3], 200, rng)
    counts = observed(p1, p0, 40, rng)
    found = estimated(counts, np.array(THRESHOLDS))
    assert (found >= 0).all()
    assert (found <= 1 + 1e-9).all()
    assert (np.diff(found) <= 1e-9).all()
    order = rng.permutation(200)
    assert found == pytest.approx(estimated(counts.each(lambda a: a[order]), np.array(THRESHOLDS)))


def test_numbers_of_members_may_differ_between_examples():
    """As with independent masks, and with members that diverged."""
    rng = np.random.default_rng(8)
    p1, p0 = population("wrong labels", 3000, rng)
    n1 = rng.binomial(60, 0.7, 3000)
    n0 = 60 - n1
    counts = Counts(n1, rng.binomial(n1, p1), n0, rng.binomial(n0, p0))
    truth = np.array([(p1 - p0 >= t).mean() for t in AT])
    assert estimated(counts)[1:] == pytest.approx(truth[1:], abs=0.03)


def test_examples_without_a_score_do_not_count():
    rng = np.random.default_rng(2)
    counts = observed(*population("wrong labels", 500, rng), 40, rng)
    longer = counts.each(lambda a: np.concatenate([a, np.zeros(100, a.dtype)]))
    assert estimated(longer) == pytest.approx(estimated(counts))


@pytest.mark.parametrize(("members", "r", "enough"), [(10, 0.7, False), (20, 0.7, True), (50, 0.9, False)])
def test_too_few_members_are_refused(members, r, enough):
    rng = np.random.default_rng(0)
    assert mixture.enough(observed(*population(KINDS[0], 50, rng), members, rng, r)) is enough


def test_a_design_that_leaves_nothing_out_has_no_fraction():
    n = np.full(10, 40)
    assert not mixture.enough(Counts(n, n, 0 * n, 0 * n))
