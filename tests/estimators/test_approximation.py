"""Estimates against leave-one-out: figures by hand, and what noise alone would give."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from memreg.estimators.approximation import by_size, compare, mean_interval, share_interval
from memreg.estimators.counts import Counts
from memreg.estimators.outliers import spp_by_error, spp_sums
from memreg.estimators.scores import scores


def drawn(p1, p0, n1, n0, seed):
    """Scores from n1 and n0 members with these probabilities."""
    rng, shape = np.random.default_rng(seed), np.shape(p1)
    return scores(Counts(np.full(shape, n1), rng.binomial(n1, p1), np.full(shape, n0), rng.binomial(n0, p0)))


def exact(values):
    values = np.asarray(values, float)
    error = np.full(len(values), 1e-9)
    return pd.DataFrame(
        {"score": values, "standard_error": error, "low": values - 0.04, "high": values + 0.04}
    )


def test_figures_by_hand():
    estimate, truth = exact([0.9, 0.5, 0.30, 0.1, np.nan]), exact([0.9, 0.2, 0.26, 0.3, 0.5])
    found = compare(estimate, truth)
    m = found.metrics
    assert m["targets"] == 4
    assert m["within_0.05"] == 0.5
    assert m["mean_error"] == pytest.approx((0 + 0.3 + 0.04 - 0.2) / 4)
    assert m["mean_absolute_error"] == pytest.approx((0 + 0.3 + 0.04 + 0.2) / 4)
    assert m["largest_error"] == pytest.approx(0.3)
    assert m["within_0.05_noise"] == 1
    assert m["consistent"] == 0.5
    quarter = found.thresholds.set_index("threshold").loc[0.25]
    assert quarter["marked"] == 3
    assert quarter["memorized"] == 3
    assert quarter["false_positives"] == pytest.approx(1 / 3)
    assert quarter["false_negatives"] == pytest.approx(1 / 3)
    assert quarter["false_positives_noise"] == 0
    high = found.thresholds.set_index("threshold").loc[0.95]
    assert np.isnan(high["false_positives"])


def test_an_estimate_of_the_truth_itself_has_the_errors_that_noise_alone_is_said_to_give():
    rng = np.random.default_rng(0)
    p1, p0 = np.full(3000, 0.99), rng.uniform(0, 1, 3000)
    found = compare(drawn(p1, p0, 700, 300, 1), drawn(p1, p0, 400, 100, 2))
    for key in ("within_0.05", "mean_absolute_error"):
        assert found.metrics[key] == pytest.approx(found.metrics[f"{key}_noise"], rel=0.1)
    assert 0.93 <= found.metrics["consistent"] <= 0.985
    assert found.metrics["mean_error_low"] < 0 < found.metrics["mean_error_high"]
    row = found.thresholds.set_index("threshold").loc[0.45]
    assert row["false_positives"] == pytest.approx(row["false_positives_noise"], abs=0.02)
    assert row["false_negatives"] == pytest.approx(row["false_negatives_noise"], abs=0.02)


def test_a_biased_estimate_stands_out_from_noise():
    p0 = np.random.default_rng(0).uniform(0.4, 1, 1000)
    truth = drawn(np.full(1000, 0.99), p0, 400, 100, 1)
    found = compare(drawn(np.full(1000, 0.99), p0 - 0.3, 700, 300, 2), truth).metrics
    assert found["mean_error_low"] > 0.25
    assert found["within_0.05"] < 0.1 < found["within_0.05_noise"]


def test_a_mean_interval_covers():
    rng = np.random.default_rng(0)
    inside = [low < 1 < high for low, high in (mean_interval(rng.normal(1, 2, 12)) for _ in range(4000))]
    assert 0.94 < np.mean(inside) < 0.96
    assert np.isnan(mean_interval(np.array([1.0]))).all()


def test_intervals_of_targets_that_come_in_groups_cover():
    """Thirty groups of three errors that are nearly the same: their mean is 1, and 84 % are positive."""
    rng, group = np.random.default_rng(0), np.repeat(np.arange(30), 3)
    means, alone, shares = [], [], []
    for _ in range(2000):
        error = rng.normal(1, 1, 30)[group] + rng.normal(0, 0.1, 90)
        means.append(mean_interval(error, group))
        alone.append(mean_interval(error))
        shares.append(share_interval(error > 0, group))
    covers = [
        np.mean([low < true < high for low, high in found])
        for found, true in ((means, 1), (alone, 1), (shares, norm.cdf(1 / np.sqrt(1.01))))
    ]
    assert 0.93 < covers[0] < 0.97
    assert covers[1] < 0.8
    assert 0.93 < covers[2] < 0.98
    assert share_interval(error > 0, np.arange(90)) == pytest.approx(
        proportion_confint((error > 0).sum(), 90, method="wilson"), abs=1e-3
    )


def test_errors_by_size_are_means_of_group_means():
    error = np.array([0.1, 0.3, 0.6, 0.0, -0.2])
    found = by_size(error, np.array([2, 2, 2, 0, 0]), np.array([7, 7, 8, -1, -1])).set_index("size")
    assert found.loc[2, "mean_error"] == pytest.approx((0.2 + 0.6) / 2)
    assert found.loc[2, "groups"] == 2
    assert found.loc[0, "mean_error"] == pytest.approx(-0.1)
    assert found.loc[0, "mean_absolute_error"] == pytest.approx(0.1)
    assert found.loc[0, "groups"] == 2


def test_spp_is_a_mean_over_excluded_members():
    included = np.array([[1, 0], [0, 0], [0, 1]], bool)
    total, count = spp_sums(included, np.array([[0.9, 0.8], [0.5, 0.6], [0.7, 0.1]]))
    assert total == pytest.approx([1.2, 1.4])
    assert count.tolist() == [2, 2]


def test_spp_of_the_largest_and_smallest_errors_over_all_and_within_strata():
    error = np.array([0.5, -0.4, 0.01, 0.0, 0.3, 0.02])
    spp = np.array([0.1, 0.2, 0.9, 0.8, 0.3, 0.7])
    score = np.array([0.3, 0.3, 0.3, 0.3, 0.9, 0.9])
    rows = spp_by_error(spp, error, score, count=2).set_index(["stratum", "error"])
    assert rows.loc[("all", "largest"), "spp"] == pytest.approx(0.15)
    assert rows.loc[("all", "smallest"), "spp"] == pytest.approx(0.85)
    assert rows.loc[("all", "smallest"), "sd"] == pytest.approx(np.std([0.9, 0.8], ddof=1))
    assert rows.loc[("score 0.25 to 0.5", "largest"), "spp"] == pytest.approx(0.15)
    assert rows.loc[("score 0.75 to 1", "smallest"), "targets"] == 1
