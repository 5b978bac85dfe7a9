"""Correlations over simulated grids whose r is known."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memreg import figures
from memreg.analyses.conclusions import in_words
from memreg.analyses.correlation import CORRELATED, of_measured
from memreg.analyses.measured import KEYS, Measured
from memreg.estimators.attenuation import disattenuated
from memreg.estimators.bootstrap import covariance
from memreg.estimators.correlation import pearson
from memreg.estimators.identity import identity
from memreg.estimators.trajectories import shapes, trajectories

TIMES = 300  # simulated grids: a coverage of 95 % is then known to +-1.3 points
COVERED = pytest.approx(0.95, abs=0.035)


def pairs(rng, n, r):
    """n cells with correlation r between their true values, shape [2, n]."""
    x, e = rng.normal(size=(2, n))
    return np.stack([x, r * x + np.sqrt(1 - r**2) * e])


def blocks_of(rng, cells, blocks, scale, shared=0.0):
    """Noise of each block, [2, cells, blocks], correlated between the axes, and between cells by `shared`."""
    own = rng.normal(size=(2, cells, blocks))
    common = rng.normal(size=(2, 1, blocks))
    e = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return scale * np.stack([e[0], 0.6 * e[0] + 0.8 * e[1]])


def observe(true, noise):
    """Values, and the covariance of their noise as told from random halves of the blocks."""
    cells, blocks = noise.shape[1:]
    half = np.array([np.random.default_rng(i).permutation(blocks)[: blocks // 2] for i in range(100)])
    sampled = true[:, :, None] + noise
    covariances = np.stack([covariance(sampled[:, c][:, half].mean(-1), blocks) for c in range(cells)])
    return sampled.mean(-1), covariances, np.full(cells, blocks)


@pytest.mark.parametrize("r", [0, -0.5, -0.95])
def test_intervals_over_cells_cover_a_known_r(r):
    rng = np.random.default_rng(int(-100 * r))
    found = [pearson(*pairs(rng, 19, r)) for _ in range(TIMES)]
    assert np.median([f.r for f in found]) == pytest.approx(r, abs=0.06)
    for low, high in (("low", "high"), ("cell_low", "cell_high")):
        covered = np.mean([getattr(f, low) <= r <= getattr(f, high) for f in found])
        assert covered == COVERED, low
    true_rho = 6 / np.pi * np.arcsin(r / 2)
    assert np.mean([f.rho_low <= true_rho <= f.rho_high for f in found]) == pytest.approx(0.95, abs=0.045)


@pytest.mark.parametrize(
    ("r", "blocks", "shared"), [(0, 4, 0), (-0.5, 4, 0.1), (-0.95, 4, 0), (-0.95, 20, 0.1)]
)
def test_member_interval_covers_the_r_of_the_same_cells_trained_again(r, blocks, shared):
    rng, scale = np.random.default_rng(blocks + int(-100 * r)), 0.3 if r > -0.9 else 0.15
    true = pairs(rng, 19, r)
    found = []
    for _ in range(TIMES):
        v, noise, b = observe(true, blocks_of(rng, 19, blocks, scale * np.sqrt(blocks / 4), shared))
        found.append(pearson(*v, noise=noise, blocks=b))
    again = np.tanh(np.mean(np.arctanh([f.r for f in found])))
    assert np.mean([f.member_low <= again <= f.member_high for f in found]) == COVERED
    truth = np.corrcoef(true)[0, 1]
    assert np.mean([f.corrected_low <= truth <= f.corrected_high for f in found]) == COVERED
    assert np.median([f.corrected for f in found]) == pytest.approx(truth, abs=0.02)


def test_members_alike_across_cells_make_the_interval_wide_not_narrow():
    rng = np.random.default_rng(12)
    true = pairs(rng, 19, -0.5)
    found = []
    for _ in range(TIMES):
        v, noise, b = observe(true, blocks_of(rng, 19, 4, 0.3, shared=0.5))
        found.append(pearson(*v, noise=noise, blocks=b))
    again = np.tanh(np.mean(np.arctanh([f.r for f in found])))
    assert np.mean([f.member_low <= again <= f.member_high for f in found]) > 0.93


def test_correction_adds_what_noise_took():
    rng = np.random.default_rng(5)
    true = pairs(rng, 400, -0.9)
    v, noise, _ = observe(true, blocks_of(rng, 400, 10, 2.0))
    group = np.zeros(400, int)
    corrected = disattenuated(v, group, noise)
    assert np.corrcoef(v)[0, 1] > corrected
    assert corrected == pytest.approx(np.corrcoef(true)[0, 1], abs=0.04)
    assert disattenuated(v, group, np.zeros_like(noise)) == pytest.approx(np.corrcoef(v)[0, 1])


GROUPS = np.repeat([0, 1, 2], [7, 6, 6])


def test_pooled_data_sets_with_the_other_sign_within():
    rng = np.random.default_rng(1)
    pooled, within = [], []
    for _ in range(TIMES):
        x, y = pairs(rng, 19, 0.6) + 4 * np.stack([GROUPS, -GROUPS])
        pooled.append(pearson(x, y).r)
        within.append(pearson(x, y, GROUPS))
    assert np.median(pooled) < -0.8
    assert np.median([w.r for w in within]) == pytest.approx(0.6, abs=0.07)
    for low, high in (("low", "high"), ("cell_low", "cell_high")):
        assert np.mean([getattr(w, low) <= 0.6 <= getattr(w, high) for w in within]) == COVERED, low


def test_partial_correlation_is_that_of_residuals():
    rng = np.random.default_rng(2)
    x, y, z = rng.normal(size=(3, 19)) + rng.normal(size=19)
    left = [a - np.polyval(np.polyfit(z, a, 1), z) for a in (x, y)]
    assert pearson(x, y, given=z).r == pytest.approx(np.corrcoef(*left)[0, 1])
    fisher = np.arctanh(pearson(x, y, given=z).high) - np.arctanh(pearson(x, y, given=z).r)
    assert fisher == pytest.approx(1.959964 / np.sqrt(19 - 4))


def test_pearson_spearman_and_fisher_agree_with_scipy():
    rng = np.random.default_rng(3)
    x = rng.normal(size=19)
    y = -x + rng.normal(size=19)
    ours, theirs = pearson(x, y), stats.pearsonr(x, y)
    assert ours.r == pytest.approx(theirs.statistic)
    expected = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert ours.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert ours.n == 19


def test_cells_without_a_value_are_left_out_and_few_cells_have_no_interval():
    x, y = np.array([1, 2, 3, 4, np.nan]), np.array([4, 3, 2, np.nan, 1.0])
    assert pearson(x, y).r == pytest.approx(-1)
    assert pearson(x, y).n == 3
    assert np.isnan([pearson(x, y).low, pearson(x, y).cell_low]).all()
    assert np.isnan(pearson(np.ones(5), np.arange(5.0)).r)
    assert np.isnan(pearson(np.ones(2), np.ones(2)).r)
    one_block = pearson(x[:3], y[:3], noise=np.full((3, 2, 2), np.nan), blocks=np.ones(3, int))
    assert np.isnan([one_block.member_low, one_block.corrected]).all()


def test_identity_of_a_score_that_is_nothing_else():
    rng = np.random.default_rng(4)
    test = np.linspace(0.6, 0.95, 19)
    included = 0.98 + 0.02 * rng.random(19)
    excluded = test + 0.01 * rng.normal(size=19)
    what = identity(test, included - excluded, included, exact=True)
    assert what.arithmetic.r < -0.98
    assert what.explained > 0.98
    assert what.remainder.r == pytest.approx(np.corrcoef(test, test - excluded)[0, 1])
    unrelated = identity(test, rng.random(19), included)
    assert unrelated.explained < 0.3


def scores_of(rng, cells, members, n):
    """Scores [3, cells, n], of all members and two halves, of examples of known shapes [n], -1 for none."""
    shape = rng.choice([0, 1, 2, -1], size=n, p=[0.1, 0.2, 0.1, 0.6])
    x = np.linspace(0, 1, cells)[:, None]
    size = rng.uniform(0.3, 0.6, n)
    still = np.where(rng.random(n) < 0.5, 0.01, rng.uniform(0, 0.8, n)) + 0 * x
    score = np.select(
        [shape == 0, shape == 1, shape == 2], [size * x, size * (1 - x), size * 4 * x * (1 - x)], still
    )
    included, excluded = round(0.35 * members), round(0.15 * members)
    halves = [
        rng.binomial(included, 0.99, score.shape) / included - rng.binomial(excluded, 0.99 - score) / excluded
        for _ in range(2)
    ]
    return np.stack([np.mean(halves, 0), *halves]), shape


def test_trajectories_keep_their_false_discovery_rate_and_find_most():
    rates, found = [], []
    for seed in range(20):
        scores, shape = scores_of(np.random.default_rng(seed), 14, 200, 600)
        told = shapes(np.linspace(0.7, 0.9, 14), scores[0])
        rates.append(np.mean(told[told >= 0] != shape[told >= 0]))
        found.append(np.mean(told[shape >= 0] == shape[shape >= 0]))
    assert np.mean(rates) < 0.05
    assert np.mean(found) > 0.8


def test_trajectories_of_nothing_but_noise():
    rng = np.random.default_rng(8)
    false = [(shapes(rng.random(14), rng.binomial(12, 0.9, (14, 500)) / 12) >= 0).any() for _ in range(60)]
    assert np.mean(false) < 0.12


def test_trajectories_shares_and_curves():
    scores, shape = scores_of(np.random.default_rng(9), 14, 400, 600)
    accuracy = np.linspace(0.7, 0.9, 14)
    order = np.random.default_rng(10).permutation(14)
    scores[:, :, 5] = np.nan
    what = trajectories(accuracy[order], scores[:, order])
    assert what.shares.examples == 599
    truth = np.array([(np.delete(shape, 5) == i).mean() for i in range(3)])
    assert ((what.shares.low - 0.03 <= truth) & (truth <= what.shares.high + 0.03)).all()
    assert (np.diff(what.accuracy) > 0).all()
    rising, falling, cap, none = what.curves
    assert rising[-1] - rising[0] > 0.3
    assert falling[0] - falling[-1] > 0.3
    assert cap[7] - max(cap[0], cap[-1]) > 0.25
    assert np.ptp(none) < 0.1


def measured(test, excluded, included, dataset, blocks=4):
    """As measured from cells whose fractions all are twice the score."""
    cells = len(test)
    score = included - excluded
    values = {"test_accuracy": test, "included_accuracy": included, "gap": score, "mean_score": score}
    values = {key: values.get(key, 2 * score) for key in KEYS}
    frame = pd.DataFrame(
        {"dataset": dataset, "model": ["vgg3-w8", "resnet8-w8"] * (cells // 2) + ["vit-mini"] * (cells % 2)}
    )
    frame["members"] = 40.0
    for key, value in values.items():
        frame = frame.assign(**{key: value, f"{key}_low": value - 0.01, f"{key}_high": value + 0.01})
    noise = np.tile(1e-6 * np.eye(len(KEYS)), (cells, 1, 1))
    scores = [np.random.default_rng(c).normal(0.1, 0.1, (3, 30)) for c in range(cells)]
    return Measured(frame, noise, np.full(cells, blocks), scores)


def test_pooled_only_is_flagged_in_the_numbers_and_in_words(tmp_path):
    rng = np.random.default_rng(6)
    test = 0.6 + 0.1 * GROUPS + 0.02 * rng.random(19)
    score = 0.5 - 0.15 * GROUPS + 2 * (test - 0.6 - 0.1 * GROUPS)
    dataset = np.array(["a", "b", "c"])[GROUPS]
    result = of_measured(measured(test, 0.99 - score, np.full(19, 0.99), dataset), "mean_score")
    assert result.pooled["mean_score"].r < -0.9
    assert result.fixed_effects["mean_score"].r > 0.9
    assert all(rs["mean_score"].r > 0.9 for rs in result.within.values())
    assert set(result.pooled_only) == set(CORRELATED)
    words = in_words(result)
    assert "Warning: pooled only" in words
    assert "the other sign within data sets" in words
    stored = json.loads(result.to_json())
    assert set(stored["pooled_only"]) == set(CORRELATED)
    assert set(stored["pooled"]) == set(CORRELATED)
    assert stored["without"].keys() == stored["within"].keys() == {"a", "b", "c"}
    assert "members" not in stored
    for figure in (
        figures.correlation(result.cells, "mean_score", result.pooled["mean_score"]),
        figures.thresholds(result.pooled, result.fixed_effects),
        figures.identity(result.cells, "mean_score", result.identities["mean_score"]),
        figures.trajectories(result.trajectories),
    ):
        figures.save(figure, tmp_path / "figure.png")


def test_one_data_set_is_not_flagged_and_its_r_is_called_arithmetic():
    test = np.linspace(0.6, 0.95, 19)
    excluded = test + 0.005 * np.random.default_rng(7).normal(size=19)
    result = of_measured(measured(test, excluded, np.full(19, 0.99), "a"), "memorized_fraction/0.25")
    assert result.fixed_effects == result.without == {}
    words = in_words(result)
    assert "Warning" not in words
    assert "nearly all of it follows without a score" in words
