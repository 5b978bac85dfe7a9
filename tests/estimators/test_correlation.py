"""Correlations over simulated grids whose r is known."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memreg.estimators.attenuation import disattenuated
from memreg.estimators.bootstrap import covariance
from memreg.estimators.correlation import Noise, pearson
from memreg.estimators.identity import identity
from memreg.estimators.measured import KEYS, Measured
from memreg.estimators.over_cells import CORRELATED, correlations
from memreg.estimators.trajectories import moves, shapes, shares, trajectories
from memreg.models.family import family
from memreg.questions.correlation import Correlated
from memreg.show import figures
from memreg.show.conclusions import in_words

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


def test_identity_of_a_score_that_is_nothing_else():
    rng = np.random.default_rng(4)
    test = np.linspace(0.6, 0.95, 19)
    included = 0.98 + 0.02 * rng.random(19)
    excluded = test + 0.01 * rng.normal(size=19)
    what = identity(test, included - excluded, included, exact=True)
    assert what.arithmetic.r < -0.98
    assert what.explained > 0.98
    assert what.remainder.r == pytest.approx(np.corrcoef(test, test - excluded)[0, 1])
    assert what.arithmetic_slope
    unrelated = identity(test, rng.random(19), included)
    assert unrelated.explained < 0.3


def test_a_line_of_another_slope_is_not_arithmetic():
    rng = np.random.default_rng(4)
    test, included = np.linspace(0.6, 0.95, 19), 0.98 + 0.02 * rng.random(19)
    arithmetic = included - test
    for slope, threshold, possible in (
        (-4.9, 0.25, False),
        (2.6, 0.25, True),
        (2.6, 1, False),
        (0.1, 1, False),
    ):
        what = identity(test, slope * arithmetic + 0.002 * rng.normal(size=19), included, threshold=threshold)
        assert what.explained > 0.9
        assert what.slope == pytest.approx(slope, abs=0.05)
        assert what.arithmetic_slope == possible, slope


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


def test_no_movement_shown_is_no_movement_excluded():
    """Movements of .3 between cells that scatter: hardly any is shown, and all shares are below the bound."""
    rng, cells, n, true = np.random.default_rng(1), 14, 600, 0.2
    x, covered, shown = np.linspace(0, 1, cells)[:, None], [], []
    for _ in range(20):
        shape = rng.choice([0, 1, 2, -1], size=n, p=[true, true, true, 1 - 3 * true])
        score = np.select([shape == 0, shape == 1, shape == 2], [x, 1 - x, 4 * x * (1 - x)], 0.5) * 0.3 + 0.3
        found = shares(np.linspace(0.7, 0.9, cells), score + 0.2 * rng.normal(size=(cells, n)))
        covered.append([(shape == i).mean() <= found.high[i] for i in range(3)])
        shown.append(found.share)
        assert (found.low <= found.share).all()
        assert (found.high > found.share).all()
    assert np.mean(shown) < 0.01
    assert np.mean(covered) > 0.95
    still = shares(np.linspace(0.7, 0.9, cells), np.full((cells, n), 0.3))
    assert (still.share == 0).all()
    assert still.high == pytest.approx(5 / n)


def test_moves_are_those_of_lines_and_parabolas():
    x = np.linspace(0, 1, 9)
    score = np.stack([0.2 + 0.4 * x, 0.6 - 0.4 * x, 4 * 0.3 * x * (1 - x)], 1)
    assert moves(x**2, score) == pytest.approx(
        np.array([[0.4, -0.4, 0], [-0.4, 0.4, 0], [0, 0, 0.3]]), abs=1e-9
    )


@pytest.mark.parametrize("ratio", [0.0, 0.5, 3.0])
def test_how_much_more_than_noise_scores_vary_between_cells(ratio):
    rng = np.random.default_rng(3)
    between = np.sqrt(ratio) * rng.normal(size=(14, 2000)) + np.linspace(0, 2, 14)[:, None]
    halves = between + np.sqrt(2) * rng.normal(size=(2, 14, 2000))
    scores = np.stack([halves.mean(0), *halves])
    found = trajectories(np.linspace(0.7, 0.9, 14), scores).between_over_noise
    assert found == pytest.approx(ratio, abs=0.06 * (1 + ratio))


def measured(test, excluded, included, dataset, blocks=4, slope=2.0):
    """As measured from cells whose fractions all are `slope` times the score."""
    cells = len(test)
    score = included - excluded
    values = {"test_accuracy": test, "included_accuracy": included, "gap": score, "mean_score": score}
    values = {key: values.get(key, slope * score) for key in KEYS}
    frame = pd.DataFrame(
        {"dataset": dataset, "model": ["vgg3-w8", "resnet8-w8"] * (cells // 2) + ["vit-mini"] * (cells % 2)}
    )
    frame["family"] = frame["model"].map(family)
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
    result = correlations(measured(test, 0.99 - score, np.full(19, 0.99), dataset), "mean_score")
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
        figures.correlation(
            result.cells, "mean_score", result.pooled["mean_score"], result.fixed_effects["mean_score"]
        ),
        figures.thresholds(result.pooled, result.fixed_effects),
        figures.identity(result.cells, "mean_score", result.identities["mean_score"]),
        figures.trajectories(result.trajectories),
    ):
        figures.save(figure, tmp_path / "figure.png")


def test_one_data_set_is_not_flagged_and_its_r_is_called_arithmetic():
    test = np.linspace(0.6, 0.95, 19)
    excluded = test + 0.005 * np.random.default_rng(7).normal(size=19)
    result = correlations(measured(test, excluded, np.full(19, 0.99), "a"), "memorized_fraction/0.25")
    assert result.fixed_effects == result.without == {}
    words = in_words(result)
    assert "Warning" not in words
    assert "Pooled" not in words
    assert "nearly all of it follows without a score" in words
    assert "r nearly -1 is arithmetic there" in words


@pytest.mark.parametrize(
    ("slope", "offset", "said"),
    [
        (2.0, 0.0, "arithmetic has 1 to 4 (of the mean score"),
        (-4.9, 0.0, "the other direction, so that none of it is shown to follow without a score"),
        (0.1, 0.0, "another rate, so that none of it is shown to follow without a score"),
        (
            2.0,
            1.9,
            "nothing of the memorized fraction (true score >= 0.25) is shown to follow without a score",
        ),
    ],
)
def test_identity_is_a_verdict_on_arithmetic_alone(slope, offset, said):
    """offset: by how much excluded accuracy moves away from test accuracy as that rises."""
    test = np.linspace(0.6, 0.95, 19)
    excluded = test - offset * (test - 0.6) + 0.002 * np.random.default_rng(7).normal(size=19)
    result = correlations(
        measured(test, excluded, np.full(19, 0.99), "a", slope=slope), "memorized_fraction/0.25"
    )
    assert result.identities["memorized_fraction/0.25"].explained > 0.9
    assert (result.identities["mean_score"].explained < 0) == (offset > 1)
    words = in_words(result)
    assert said in words
    assert ("nearly all of it follows" in words) == (slope == 2 and offset == 0)


def test_r_within_data_sets_comes_first_and_pooled_intervals_say_for_what_they_are():
    rng = np.random.default_rng(8)
    test = 0.6 + 0.1 * GROUPS + 0.02 * rng.random(19)
    result = correlations(measured(test, test - 0.1, np.full(19, 0.99), np.array(list("abc"))[GROUPS]), "gap")
    first, second, *_ = in_words(result).split("\n\n")
    assert "within data sets (fixed effects), n = 19: Pearson r = " in first
    assert "Pooled" not in first
    assert (
        "are for other cells of these 3 data sets; an interval for other data sets takes 5 of them" in second
    )
    five = np.repeat(np.arange(5), [4, 4, 4, 4, 3])
    result = correlations(measured(test, test - 0.1, np.full(19, 0.99), np.array(list("abcde"))[five]), "gap")
    low = result.pooled["gap"].cluster_low
    assert f"with data sets drawn anew r has [{low:.3f}, " in in_words(result)
    title = (
        figures.correlation(result.cells, "gap", result.pooled["gap"], result.fixed_effects["gap"])
        .axes[0]
        .get_title(loc="left")
    )
    assert title.startswith("within data sets r = ")
    assert "these data sets pooled r = " in title


@pytest.mark.parametrize(
    ("n", "kept", "said"),
    [
        (3, set(), ["no r, which takes 4 cells and has 3"]),
        (4, {"pearson"}, ["Pearson r = ", "(resampling takes 6, Spearman's rho takes 8 cells)"]),
        (8, {"pearson"}, ["Spearman's rho = "]),
    ],
)
def test_few_cells_say_how_many_it_takes(n, kept, said):
    rng = np.random.default_rng(9)
    test = np.sort(rng.uniform(0.6, 0.9, n))
    result = correlations(measured(test, test - 0.05 * rng.random(n), np.full(n, 0.99), "a"), "mean_score")
    words = in_words(result)
    assert all(text in words for text in said)
    assert "nan" not in words
    assert "-1.000]" not in words
    assert {name.partition("/")[0] for name in Correlated(result).metrics()} == kept


def test_where_nothing_moves_the_figure_says_so():
    rng = np.random.default_rng(10)
    scores = rng.normal(0.3, 0.1, (3, 14, 200))
    figure = figures.trajectories({"a": trajectories(np.linspace(0.7, 0.9, 14), scores)})
    (axes,) = figure.axes
    assert not axes.lines
    assert "No example is shown to move" in axes.texts[0].get_text()
