"""Marginal utility: differences whose truth is known, arms by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from memreg.design import All, Removal
from memreg.errors import MemregError
from memreg.estimators.arms import arms, thinned
from memreg.estimators.duplicates import has_near_duplicate
from memreg.estimators.marginal_utility import difference, holm, knee, over_both, over_images

MARGIN = 0.5


def accuracies(true, k, shared, seed):
    """Members of two arms, [2, k], in points: the first is `true` better; seeds shared to some degree."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0, shared, k)
    a, b = (common + rng.normal(0, 0.6, k) for _ in range(2))
    return a + true, b


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("true", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("k", [10, 40])
def test_intervals_cover_and_equivalence_errs_rarely(true, shared, k):
    found = [difference(*accuracies(true, k, shared, seed)) for seed in range(3000)]
    covered = np.mean([d.low <= true <= d.high for d in found])
    assert 0.93 <= covered <= 0.97
    wrong = np.mean([d.equivalence_p(MARGIN) < 0.05 for d in found])
    if true >= MARGIN:
        assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 3000) ** 0.5
    significant = np.mean([d.p < 0.05 for d in found])
    assert significant == pytest.approx(0.05, abs=0.02) if true == 0 else significant > 0.3


def test_equivalence_is_found_where_there_is_nothing():
    found = [difference(*accuracies(0, 100, 0, seed)) for seed in range(200)]
    assert np.mean([d.equivalence_p(MARGIN) < 0.05 for d in found]) > 0.9


def test_pairing_is_used_where_it_helps_and_narrows():
    apart = [difference(*accuracies(0, 40, 0.0, seed)) for seed in range(200)]
    alike = [difference(*accuracies(0, 40, 1.5, seed)) for seed in range(200)]
    assert np.mean([d.paired for d in apart]) < 0.1
    assert all(d.paired for d in alike)
    assert np.mean([d.standard_error for d in alike]) < 0.2


def test_a_difference_by_hand():
    d = difference(np.array([90.0, 91, 92]), np.array([89.0, 89, 89, 93]))
    assert d.mean == pytest.approx(1.0)
    assert d.standard_error == pytest.approx((1 / 3 + 4 / 4) ** 0.5)
    assert not d.paired
    assert d.low < d.mean < d.high
    same = difference(np.array([90.0, 90]), np.array([90.0, 90]))
    assert (same.mean, same.p, same.equivalence_p(0.5)) == (0, 1, 0)
    assert np.isnan(difference(np.array([90.0]), np.array([91.0])).low)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    adjusted = holm([0.01, np.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert np.isnan(adjusted[1])


def test_equivalence_over_five_thresholds_errs_in_one_of_twenty_studies():
    """The true difference is the margin at each: without a correction a fifth of the studies err."""
    plain, adjusted = [], []
    for study in range(600):
        p = [difference(*accuracies(MARGIN, 20, 0, 5 * study + i)).equivalence_p(MARGIN) for i in range(5)]
        plain.append(min(p) < 0.05)
        adjusted.append(holm(p).min() < 0.05)
    assert np.mean(plain) > 0.17
    assert np.mean(adjusted) <= 0.07


def test_the_knee_is_where_the_curve_bends():
    scores = np.concatenate([np.linspace(1, 0.3, 30), np.linspace(0.29, 0, 970)])
    assert knee(scores) == pytest.approx(0.29, abs=0.02)
    assert knee(np.full(5, 0.2)) == 0.2


def images(true, networks, n, seed):
    """Whether networks of two arms get images right, [2, networks, n]: the first arm `true` better on average
    over all images there are, by how much depends on the image and a little on the network."""
    rng = np.random.default_rng(seed)
    skill, gain = rng.normal(1, 1.5, n), rng.normal(0, 0.15, n) + true
    p = norm.cdf(skill) * 0.2 + 0.4
    arms = [np.clip(p + g + rng.normal(0, 0.01, (networks, 1)), 0, 1) for g in (gain, 0)]
    return [rng.random((networks, n)) < arm for arm in arms]


def test_intervals_over_test_images_cover_what_others_would_give_and_those_over_networks_do_not():
    """Networks and test images are drawn anew each time; the true difference is .02."""
    found = {"networks": [], "images": [], "both": []}
    for seed in range(300):
        a, b = images(0.02, 60, 150, seed)
        own, others = difference(a.mean(1), b.mean(1)), over_images(a.mean(0), b.mean(0))
        for name, d in zip(found, (own, others, over_both(own, others)), strict=True):
            assert d.mean == pytest.approx(own.mean)
            found[name].append(d.low <= 0.02 <= d.high)
    assert np.mean(found["networks"]) < 0.75
    assert 0.93 <= np.mean(found["both"]) <= 0.985
    assert np.mean(found["images"]) >= 0.88


def test_intervals_over_one_or_equal_images():
    nothing = over_images(np.array([0.5]), np.array([0.4]))
    assert np.isnan(nothing.low)
    same = np.array([0.5, 0.9, 0.7, 0.6])
    d = over_both(difference(same, same), over_images(same, same))
    assert (d.mean, d.low, d.high) == (0, 0, 0)


LABELS = np.array([0] * 8 + [1] * 8)
GROUPS = [(0, 1), (2, 3, 4), (8, 9)]
SCORED = np.isin(np.arange(16), [0, 1, 2, 5, 8])


def removed(pools, member=0, seed=0):
    return set(np.flatnonzero(~Removal(pools=pools, seed=seed).included(member, 16)).tolist())


def test_arms_leave_out_what_they_say():
    verified = SCORED & (np.arange(16) != 2)
    found = arms(SCORED, verified, LABELS, GROUPS, "threshold 0.5")
    assert removed(found["scored"]) == {0, 1, 2, 5, 8}
    assert removed(found["verified"]) == {0, 1, 5, 8}
    for member in range(50):
        for name in ("random", "below", "thinned"):
            gone = np.array(sorted(removed(found[name], member)))
            assert np.bincount(LABELS[gone]).tolist() == [4, 1], name
        assert not SCORED[list(removed(found["below"], member))].any()
        gone = removed(found["thinned"], member)
        for group in GROUPS:
            assert not set(group) <= gone
        assert 5 not in gone  # a sub-population by itself
        assert 2 in gone
        assert len(gone & {0, 1}) == 1
    drawn = {frozenset(removed(found["random"], member)) for member in range(50)}
    assert len(drawn) > 40
    assert {i for gone in drawn for i in gone} == set(range(16))


def test_a_control_that_cannot_be_had_is_left_out():
    scored = np.array([True] * 7 + [False] * 9)
    found = arms(scored, scored & False, LABELS, [], "threshold 0.5")
    assert set(found) == {"scored", "random"}
    assert thinned(scored, LABELS, []) == ()


@pytest.mark.parametrize(
    ("scored", "message"),
    [([], "no example scores it"), (range(16), "all 8 examples"), (range(8, 16), "class 1")],
)
def test_nothing_everything_and_a_whole_class_are_refused(scored, message):
    mask = np.isin(np.arange(16), list(scored))
    with pytest.raises(MemregError, match=message):
        arms(mask, mask, LABELS, [], "threshold 0.5")


def test_a_removal_is_one_design_whatever_the_order_and_pairs_its_seeds_with_everything():
    a = Removal(pools=((1, (3, 2)), (2, (5, 4))))
    b = Removal(pools=((2, (4, 5)), (1, (2, 3))))
    assert a == b
    assert hash(a) == hash(b)
    assert a.size(16) == 16
    assert a.member_seed(7) == All().member_seed(7)
    assert not a.included(3, 16)[[4, 5]].any()
    assert a.included(3, 16)[[2, 3]].sum() == 1


@pytest.mark.parametrize(
    "pools", [(), ((0, (1,)),), ((3, (1, 2)),), ((1, (1, 2)), (1, (2, 3))), ((1, (-1, 2)),)]
)
def test_pools_that_make_no_sense_are_refused(pools):
    with pytest.raises(ValueError, match="pools"):
        Removal(pools=pools)


def test_a_removal_must_fit_the_data():
    with pytest.raises(MemregError, match="no training example 20"):
        Removal(pools=((1, (20,)),)).check(16)
    with pytest.raises(MemregError, match="nothing left"):
        Removal(pools=((16, tuple(range(16))),)).check(16)


def test_near_duplicates_are_copies_whatever_their_brightness(monkeypatch):
    monkeypatch.setattr("memreg.estimators.duplicates.ROWS", 4)
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (50, 8, 8, 3), np.uint8)
    test = rng.integers(0, 256, (10, 8, 8, 3), np.uint8)
    test[3] = train[40] // 2 + 10
    test[7] = np.clip(train[0].astype(int) + rng.integers(-20, 20, (8, 8, 3)), 0, 255)
    assert np.flatnonzero(has_near_duplicate(test, train)).tolist() == [3, 7]
