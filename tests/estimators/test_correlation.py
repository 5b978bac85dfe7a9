"""Correlations over simulated grids whose r is known."""

import numpy as np
import pytest
from scipy import stats

from memreg.estimators.attenuation import disattenuated
from memreg.estimators.bootstrap import covariance
from memreg.estimators.correlation import Noise, pearson

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
        found.append(pearson(*v, noise=Noise(noise, b)))
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
        found.append(pearson(*v, noise=Noise(noise, b)))
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


def test_cells_without_a_value_are_left_out():
    x, y = np.array([1, 2, 3, 4, 4.5, np.nan]), np.array([4, 3, 2, 1, np.nan, 1.0])
    assert pearson(x, y).r == pytest.approx(-1)
    assert pearson(x, y).n == 4
    assert np.isnan(pearson(np.ones(5), np.arange(5.0)).r)
    one_block = pearson(x[:4], y[:4], noise=Noise(np.full((4, 2, 2), np.nan), np.ones(4, int)))
    assert np.isnan([one_block.member_low, one_block.corrected]).all()


def test_each_number_has_a_least_number_of_cells():
    rng, groups = np.random.default_rng(0), np.array([0, 0, 1, 1, 1, 1, 1, 1, 1])
    x, y = rng.normal(size=(2, 9))
    known = {n: pearson(x[:n], y[:n]) for n in range(2, 10)}
    for key, least in (("r", 4), ("low", 4), ("cell_low", 6), ("rho", 8), ("rho_low", 8)):
        assert [n for n, p in known.items() if np.isfinite(getattr(p, key))] == list(range(least, 10)), key
    within = pearson(x[:4], y[:4], groups[:4])
    assert np.isnan(within.r)
    assert (within.n, within.needed) == (4, 5)
    assert np.isfinite(pearson(x[:5], y[:5], groups[:5]).r)


def test_cells_that_are_all_in_order_do_not_make_rho_certain():
    rng = np.random.default_rng(11)
    found = [pearson(*pairs(rng, 8, -0.97)) for _ in range(TIMES)]
    ordered = [f for f in found if f.rho == -1]
    assert len(ordered) > 10
    assert all(f.rho_low == -1 and f.rho_high > -0.99 for f in ordered)
    true_rho = 6 / np.pi * np.arcsin(-0.97 / 2)
    assert np.mean([f.rho_low <= true_rho <= f.rho_high for f in found]) > 0.91


def pooled_from(rng, sizes, between, r_between, r_within):
    """Cells [2, cells] in data sets of these sizes, which hold the share `between` of the variance; their
    data sets, and r of all cells that these data sets, and that all data sets, could have."""
    means = pairs(rng, len(sizes), r_between) * np.sqrt(between)
    number = np.repeat(np.arange(len(sizes)), sizes)
    v = means[:, number] + np.sqrt(1 - between) * pairs(rng, len(number), r_within)
    inner = (1 - between) * np.array([[1, r_within], [r_within, 1]])
    total = np.cov(means[:, number], ddof=0) + inner
    return (
        v,
        number,
        total[0, 1] / np.sqrt(total[0, 0] * total[1, 1]),
        between * r_between + (1 - between) * r_within,
    )


@pytest.mark.parametrize("sizes", [(7, 6, 6), (14, 3, 2), (4, 4, 4, 4, 4), (14, 3, 2, 2, 2, 1, 1, 1)])
def test_pooled_intervals_are_for_these_data_sets_and_five_are_resampled(sizes):
    rng, here, anywhere, drawn = np.random.default_rng(len(sizes)), [], [], []
    for _ in range(TIMES):
        v, number, these, true = pooled_from(rng, sizes, 0.8, -0.8, -0.2)
        p = pearson(*v, clusters=number)
        here.append((p.low <= these <= p.high, p.cell_low <= these <= p.cell_high))
        anywhere.append((p.low <= true <= p.high, p.cell_low <= true <= p.cell_high))
        drawn.append((p.cluster_low, p.cluster_low <= true <= p.cluster_high))
    assert (np.mean(here, 0) > 0.92).all()
    assert (np.mean(anywhere, 0) < 0.9).all()
    if len(sizes) < 5:
        assert np.isnan(drawn).any(1).all()
    else:
        assert np.mean(drawn, 0)[1] > 0.91


def test_where_resampling_cells_holds_and_where_it_does_not():
    def covered(draw):
        rng, r = np.random.default_rng(20), -0.9
        found = []
        for _ in range(TIMES):
            x, e = draw(rng)
            p = pearson(x, r * x + np.sqrt(1 - r**2) * e)
            found.append(p.cell_low <= r <= p.cell_high)
        return np.mean(found)

    assert covered(lambda rng: rng.laplace(size=(2, 19))) > 0.9
    assert covered(lambda rng: rng.uniform(size=(2, 19))) > 0.93
    assert covered(lambda rng: rng.lognormal(sigma=1.5, size=(2, 19))) < 0.88
