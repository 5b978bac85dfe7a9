"""Proxies against leave-one-out scores: nothing leaks, noise alone is known, and intervals cover."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_1samp
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score
from statsmodels.stats.multitest import multipletests

from memreg.estimators import leaderboard
from memreg.estimators.leaderboard import Truth, against_best, calibrated, error_by_size, judge


def simulated(t, noise=0.1, seed=0, members=1):
    """Targets in units of `members`, which share their true score, and those scores."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.beta(0.6, 1.2, t // members), members)
    halves = true + rng.normal(0, noise * np.sqrt(2), (2, t))
    unit = np.repeat(np.arange(t // members), members)
    return Truth(halves.mean(0), np.full(t, noise), halves, unit, np.full(t, members)), true


def exact(values, unit=None, size=None):
    values = np.asarray(values, float)
    own = np.arange(len(values))
    return Truth(
        values,
        np.zeros(len(values)),
        np.stack([values, values]),
        own if unit is None else np.asarray(unit),
        np.ones(len(values), int) if size is None else np.asarray(size),
    )


def fewer_draws(monkeypatch, draws):
    monkeypatch.setattr(leaderboard, "DRAWS", draws)


def same(a, b):
    """Whether two figures are equal to the bit, NaN included."""
    return np.array(a).tobytes() == np.array(b).tobytes()


def test_a_proxy_that_knows_nothing_is_not_better_than_a_constant_but_would_be_where_it_is_fitted():
    rng, constant, crossed, inside = np.random.default_rng(1), [], [], []
    for seed in range(50):
        truth, _ = simulated(20, seed=seed)
        values = rng.normal(size=20)
        constant.append(truth.constant.mean())
        crossed.append(np.abs(calibrated(values, truth.truth, truth.unit) - truth.truth).mean())
        fit = IsotonicRegression().fit_transform(values, truth.truth)
        inside.append(np.abs(fit - truth.truth).mean())
    assert np.mean(inside) < 0.9 * np.mean(constant)
    assert np.mean(crossed) > np.mean(constant)


def test_values_that_only_tell_units_apart_are_no_better_than_a_constant():
    """Noise, but the same for a unit's targets, which share their truth: a fit that saw a unit's other
    targets would know the truth of this one."""
    rng = np.random.default_rng(2)
    unit = np.repeat(np.arange(20), 5)
    truth = exact(rng.uniform(size=20)[unit], unit)
    ours, apart = [], []
    for _ in range(20):
        values = rng.normal(size=20)[unit]
        ours.append(np.abs(calibrated(values, truth.truth, unit) - truth.truth).mean())
        apart.append(np.abs(calibrated(values, truth.truth, np.arange(100)) - truth.truth).mean())
    assert np.mean(ours) > truth.constant.mean()
    assert np.mean(apart) < 0.95 * truth.constant.mean()


def test_the_truth_of_a_target_changes_no_prediction_of_its_unit():
    truth, true = simulated(40, members=4)
    before = calibrated(true, truth.truth, truth.unit)
    for target in (0, 13, 39):
        changed = truth.truth.copy()
        changed[target] += 5
        after = calibrated(true, changed, truth.unit)
        alike = truth.unit == truth.unit[target]
        assert same(after[alike], before[alike])
        assert not same(after, before)


def test_a_prediction_rises_with_the_value_of_the_target():
    truth, true = simulated(200, noise=0.01)
    found = calibrated(np.exp(3 * true), truth.truth, truth.unit)
    assert spearmanr(found, true).statistic > 0.99
    falling = calibrated(-true, truth.truth, truth.unit)
    assert np.abs(falling - truth.truth).mean() > 0.95 * truth.constant.mean()


def test_calibration_needs_two_folds():
    with pytest.raises(ValueError, match="two folds"):
        calibrated(np.arange(3.0), np.arange(3.0), np.zeros(3, int))
    with pytest.raises(ValueError, match="two folds"):
        calibrated(np.arange(3.0), np.arange(3.0), np.arange(3), folds=1)
    assert calibrated(np.arange(2.0), np.array([0.2, 0.7]), np.arange(2)) == pytest.approx([0.7, 0.2])


def test_a_perfect_proxy_reaches_ceiling_and_floor():
    truth, true = simulated(2000, noise=0.15)
    found = judge(np.exp(3 * true)[None], truth)
    assert truth.ceiling < 0.95
    assert found.spearman.value == pytest.approx(truth.ceiling, abs=0.03)
    assert found.error.value == pytest.approx(truth.floor, rel=0.06)
    assert found.error.value < 0.6 * truth.constant.mean()


def test_ceiling_and_floor_by_hand():
    truth = exact([0.1, 0.2, 0.3, 0.4])
    assert truth.ceiling == 1
    assert truth.floor == 0
    halves = np.array([[1.0, 2, 3, 4], [2, 1, 3, 4]])  # rho = 0.8
    noisy = Truth(halves.mean(0), np.array([0.1, 0.2, 0.3, 0.4]), halves, truth.unit, truth.size)
    assert noisy.ceiling == pytest.approx(np.sqrt(1.6 / 1.8))
    assert noisy.floor == pytest.approx(0.25 * np.sqrt(2 / np.pi))
    against = Truth(halves[0], truth.noise, np.stack([halves[0], -halves[0]]), truth.unit, truth.size)
    assert np.isnan(against.ceiling)


def test_the_constant_is_the_mean_of_the_other_targets():
    truth = exact([0.0, 0.3, 0.9])
    assert truth.constant == pytest.approx([0.6, 0.15, 0.75])


def test_figures_are_those_of_scipy_and_scikit_learn(monkeypatch):
    """Of all targets, and of each sample that the intervals are made of."""
    fewer_draws(monkeypatch, 20)
    truth, true = simulated(40, members=2)
    values = np.round(true + np.random.default_rng(1).normal(0, 0.3, 40), 1)  # has ties
    counts = leaderboard._drawn(truth.unit)
    memorized = truth.truth >= 0.25
    rho = leaderboard._rho(values, truth.truth, counts)
    precision, _ = leaderboard._found(values, memorized, counts)
    for own, *found in zip(counts.astype(int), rho, precision, strict=True):
        rows = np.repeat(np.arange(40), own)
        assert found[0] == pytest.approx(spearmanr(values[rows], truth.truth[rows]).statistic)
        assert found[1] == pytest.approx(average_precision_score(memorized[rows], values[rows]))
    figures = judge(values[None], truth)
    assert figures.spearman.value == rho[0]
    assert figures.average_precision[0.25].value == precision[0]


def test_finding_memorized_targets_by_hand():
    truth = exact([0.9, 0.5, 0.3, 0.1, 0.0, -0.1])
    found = judge(np.array([[6.0, 3, 4, 5, 2, 1]]), truth)
    assert found.average_precision[0.25].value == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found.recall[0.25].value == pytest.approx(2 / 3)
    assert found.average_precision[0.45].value == pytest.approx((1 + 2 / 4) / 2)
    assert found.recall[0.45].value == pytest.approx(1 / 2)


def test_ties_at_the_cut_count_by_their_expected_value():
    truth = exact([0.9, 0.5, 0.1, 0.0])
    assert judge(np.ones((1, 4)), truth).recall[0.25].value == pytest.approx(0.5)
    assert judge(np.array([[2.0, 1, 1, 1]]), truth).recall[0.25].value == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_nothing_is_found_where_no_target_or_every_target_is_memorized(level):
    truth = exact(level + np.arange(5) / 100)
    found = judge(np.arange(10.0).reshape(2, 5), truth)
    assert np.isnan(found.average_precision[0.45]).all()
    assert np.isnan(found.recall[0.25]).all()
    assert found.spearman.value == pytest.approx(1)


def test_values_are_means_over_repetitions_and_networks_have_students_interval():
    truth, true = simulated(50)
    values = true + np.random.default_rng(1).normal(0, 0.3, (4, 50))
    found = judge(values, truth)
    single = [judge(own[None], truth) for own in values]
    for name in ("spearman", "error"):
        each = np.array([getattr(one, name).value for one in single])
        figure = getattr(found, name)
        assert figure.value == pytest.approx(each.mean())
        interval = ttest_1samp(each, 0).confidence_interval(0.95)
        assert figure[3:] == pytest.approx(tuple(interval))
        assert figure.low < figure.value < figure.high
        assert np.isnan(getattr(single[0], name)[3:]).all()
    assert found.errors == pytest.approx(np.mean([one.errors for one in single], axis=0))
    assert found.error.value == pytest.approx(found.errors.mean())


def test_intervals_over_targets_cover(monkeypatch):
    fewer_draws(monkeypatch, 200)
    large, true = simulated(20_000, seed=99)
    rng = np.random.default_rng(7)
    rho = spearmanr(true + rng.normal(0, 0.2, 20_000), large.truth).statistic
    found, covered = [], []
    for seed in range(120):
        truth, true = simulated(60, seed=seed)
        figures = judge((true + rng.normal(0, 0.2, 60))[None], truth)
        covered.append(figures.spearman.low < rho < figures.spearman.high)
        found.append(figures.error)
    assert 0.88 <= np.mean(covered) <= 0.99
    expected = np.mean([figure.value for figure in found])
    assert 0.88 <= np.mean([figure.low < expected < figure.high for figure in found]) <= 0.99


def test_targets_that_stand_and_fall_together_widen_the_intervals():
    truth, true = simulated(100, members=5)
    values = true + np.repeat(np.random.default_rng(1).normal(0, 0.3, 20), 5)
    together = judge(values[None], truth)
    apart = judge(values[None], Truth(truth.truth, truth.noise, truth.halves, np.arange(100), truth.size))
    for name in ("spearman", "error"):
        wide, narrow = (getattr(of, name) for of in (together, apart))
        assert wide.high - wide.low > 1.4 * (narrow.high - narrow.low)


def test_missing_values_are_counted_and_taken_as_the_median():
    truth, true = simulated(40)
    values = np.stack([true, true])
    values[0, :3] = np.nan
    found = judge(values, truth)
    assert found.missing == 3
    filled = values.copy()
    filled[0, :3] = np.median(true[3:])
    assert same(found.spearman, judge(filled, truth).spearman)
    assert same(found.average_precision[0.25], judge(filled, truth).average_precision[0.25])
    assert calibrated(values[0], truth.truth, truth.unit)[:3] == pytest.approx(
        calibrated(np.zeros(40), truth.truth, truth.unit)[:3]
    )
    others = calibrated(values[0], np.where(np.isnan(values[0]), 9.0, truth.truth), truth.unit)[3:]
    assert same(others, calibrated(values[0], truth.truth, truth.unit)[3:])


def test_a_proxy_without_any_value_knows_nothing():
    truth, _ = simulated(30)
    found = judge(np.full((2, 30), np.nan), truth)
    assert found.missing == 60
    assert found.spearman[:3] == (0, 0, 0)
    assert found.errors == pytest.approx(truth.constant)


def test_the_same_call_has_the_same_result_to_the_bit():
    truth, true = simulated(60, members=3)
    values = true + np.random.default_rng(1).normal(0, 0.3, (2, 60))
    one, other = judge(values, truth), judge(values, truth)
    for name in ("spearman", "error", "errors", "missing"):
        assert same(getattr(one, name), getattr(other, name))
    for name in ("average_precision", "recall"):
        assert all(same(getattr(one, name)[key], getattr(other, name)[key]) for key in (0.25, 0.45))
    proxies = {"one": one.errors, "constant": truth.constant}
    pd.testing.assert_frame_equal(
        against_best(proxies, truth.unit), against_best(proxies, truth.unit), check_exact=True
    )


def test_errors_by_size_by_hand():
    truth = exact(np.zeros(7), unit=[0, 0, 1, 1, 2, 2, 3], size=[2, 2, 2, 2, 8, 8, 1])
    frame = error_by_size(np.array([0.1, 0.3, 0.5, 0.7, 0.2, 0.4, 0.9]), truth).set_index("size")
    assert list(frame.index) == [1, 2, 8]
    assert list(frame["targets"]) == [1, 4, 2]
    assert list(frame["error"]) == pytest.approx([0.9, 0.4, 0.3])
    half = 12.7062047 * 0.2  # of unit means 0.2 and 0.6, one degree of freedom
    assert frame.loc[2, "low"] == pytest.approx(0.4 - half)
    assert frame.loc[2, "high"] == pytest.approx(0.4 + half)
    assert frame.loc[[1, 8], ["low", "high"]].isna().all(axis=None)


def test_differences_from_the_best_are_paired_tests():
    rng = np.random.default_rng(0)
    shared = rng.uniform(0, 1, 30)
    errors = {f"proxy {i}": shared + rng.normal(0.02 * i, 0.05, 30) for i in (3, 0, 1, 2)}
    frame = against_best(errors, np.arange(30))
    assert list(frame["proxy"]) == list(errors)
    frame = frame.set_index("proxy")
    best = frame.loc["proxy 0"]
    assert best["difference"] == 0
    assert best[["low", "high", "p", "p_holm"]].isna().all()
    others = [f"proxy {i}" for i in (3, 1, 2)]
    for name in others:
        test = ttest_1samp(errors[name] - errors["proxy 0"], 0)
        assert frame.loc[name, "p"] == pytest.approx(test.pvalue)
        interval = tuple(test.confidence_interval(0.95))
        assert tuple(frame.loc[name, ["low", "high"]]) == pytest.approx(interval)
    holm = multipletests(frame.loc[others, "p"], method="holm")[1]
    assert list(frame.loc[others, "p_holm"]) == pytest.approx(list(holm))


def test_holm_by_hand(monkeypatch):
    known = iter([0.01, 0.04, 0.03])
    monkeypatch.setattr(leaderboard, "_difference", lambda *_: (0.1, 0.0, 0.2, next(known)))
    errors = {name: np.full(4, error) for name, error in (("a", 0.3), ("b", 0.1), ("c", 0.3), ("d", 0.2))}
    frame = against_best(errors, np.arange(4)).set_index("proxy")
    assert list(frame.loc[["a", "c", "d"], "p_holm"]) == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(frame.loc["b", "p_holm"])


def test_differences_within_units_count_once():
    rng = np.random.default_rng(0)
    own = {"a": rng.uniform(0, 1, 12), "b": rng.uniform(0, 1.4, 12)}
    single = against_best(own, np.arange(12))
    copied = against_best({k: np.repeat(v, 3) for k, v in own.items()}, np.repeat(np.arange(12), 3))
    assert copied["p"].to_numpy() == pytest.approx(single["p"].to_numpy(), nan_ok=True)
    assert copied["low"].to_numpy() == pytest.approx(single["low"].to_numpy(), nan_ok=True)


def test_comparisons_that_cannot_be_made():
    alone = against_best({"a": np.array([0.1, 0.2])}, np.arange(2)).loc[0]
    assert alone["difference"] == 0
    assert np.isnan(alone["p_holm"])
    same_errors = against_best({"a": np.array([0.1, 0.2]), "b": np.array([0.1, 0.2])}, np.arange(2))
    assert same_errors.loc[1, "p"] == 1
    one_unit = against_best({"a": np.array([0.1, 0.2]), "b": np.array([0.2, 0.2])}, np.zeros(2, int)).loc[1]
    assert one_unit["difference"] == pytest.approx(0.05)
    assert one_unit[["low", "high", "p", "p_holm"]].isna().all()
