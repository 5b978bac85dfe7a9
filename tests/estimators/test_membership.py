"""Membership inference on members whose margins are drawn, so that the truth is known."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from memreg.design import LeaveOneOut, Subsets
from memreg.estimators import attacks, reference
from memreg.estimators.bootstrap import jackknife_interval
from memreg.estimators.membership import REFITTED, Known, attacked, curves, few
from memreg.estimators.reference import Blocks, Side, side, sort_key
from memreg.estimators.roc import RATES, Roc, bin_of, held, lower_edge, roc, threshold, trials
from memreg.estimators.vulnerability import found_at, separation_interval, separations, typical
from memreg.margins import clipped, probability, stored


class World:
    """Margins of n examples are normal, with the example and without it, and members have luck in common."""

    def __init__(self, n, seed=0, gap=1.0, luck=0.0):
        rng = np.random.default_rng(seed)
        self.out, self.sd_out = rng.normal(3, 2, n), rng.uniform(0.7, 2, n)
        self.sd_in = self.sd_out * rng.uniform(0.5, 1, n)
        self.mean_in = self.out + gap * rng.exponential(1, n) * self.sd_out
        self.luck = luck

    def drawn(self, k, seed=0, r=0.7):
        n, design = len(self.out), Subsets(r=r, seed=seed)
        rng = np.random.default_rng(1000 + seed)
        included = np.stack([design.included(j, n) for j in range(k)])
        mean = np.where(included, self.mean_in, self.out)
        margin = rng.normal(mean, np.where(included, self.sd_in, self.sd_out))
        margin += rng.normal(0, self.luck, (k, 1))
        test = rng.normal(3, 2, (k, 50))
        block = np.array([design.block(j) for j in range(k)])
        return Known(stored(np.concatenate([margin, test], axis=1)), included, block)

    def auc(self):
        return norm.cdf((self.mean_in - self.out) / np.hypot(self.sd_in, self.sd_out))


def on_train(known):
    return known.margin[:, : known.included.shape[1]]


def turned(a):
    return np.ascontiguousarray(a.T)


def lira_of_tensorflow_privacy(keep, scores, check_scores):
    """`generate_ours` of research/mi_lira_2021/plot.py, written anew from its description: the medians and
    standard deviations of each example over the networks that keep it and those that do not, and the
    difference of the two normal log densities."""
    found = np.empty(check_scores.shape)
    for i in range(keep.shape[1]):
        kept, left = scores[keep[:, i], i], scores[~keep[:, i], i]
        log_in = norm.logpdf(check_scores[:, i], np.median(kept), np.std(kept) + 1e-30)
        log_out = norm.logpdf(check_scores[:, i], np.median(left), np.std(left) + 1e-30)
        found[:, i] = log_in - log_out
    return found


@pytest.mark.parametrize("r", [0.5, 0.7])
def test_lira_is_that_of_tensorflow_privacy_with_a_whole_block_held_out(r):
    known = World(40).drawn(200, r=r)
    margin = on_train(known).astype(float)
    blocks, there = Blocks.of(known.block), Blocks.of(known.block).there[:, None]
    arranged, inside = blocks.arrange(on_train(known)), blocks.arrange(known.included)
    online = attacks.online(
        arranged.astype(float), side(arranged, inside & there), side(arranged, ~inside & there)
    )
    own = np.empty(margin.shape)
    blocks.restore(online, own)
    for block in np.unique(known.block):
        mine = known.block == block
        expected = lira_of_tensorflow_privacy(known.included[~mine], margin[~mine], margin[mine])
        np.testing.assert_allclose(own[mine], expected, rtol=1e-6, atol=1e-6)
    result = attacked(known)
    assert not result.pooled
    np.testing.assert_allclose(result.scores["online"], own, rtol=2e-3, atol=1e-3)  # as it is kept


def test_medians_and_variances_of_the_other_blocks_are_numpys_in_ties_and_in_blocks_of_any_size():
    rng = np.random.default_rng(0)
    block = rng.integers(0, 5, 47)
    margin = stored(np.round(rng.normal(3, 2, (47, 30))))  # many ties
    included = rng.random(margin.shape) < 0.7
    blocks = Blocks.of(block)
    found = side(blocks.arrange(margin), blocks.arrange(included) & blocks.there[:, None])
    for b, number in enumerate(np.unique(block)):
        for i in range(30):
            others = margin[(block != number) & included[:, i], i].astype(float)
            assert found.count[i, b] == len(others)
            assert found.median[i, b] == np.median(others)
            assert found.variance[i, b] == pytest.approx(others.var(), abs=1e-9)
    again = np.empty_like(margin)
    blocks.restore(blocks.arrange(margin), again)
    assert (again == margin).all()


def test_offline_lira_is_in_the_order_of_the_papers_probability():
    rng = np.random.default_rng(0)
    own = Side(np.full((1, 1), 50), np.array([[2.0]]), np.array([[1.5]]))
    margin = rng.normal(2, 2, (200, 1, 1))
    ours = attacks.offline(margin, own)[:, 0, 0]
    papers = norm.cdf(margin[:, 0, 0], 2.0, np.sqrt(1.5))
    assert (np.argsort(ours) == np.argsort(papers)).all()


def test_rmia_is_the_share_of_the_population_that_an_image_outdoes():
    """Equation 3 of Zarifzadeh et al. 2024, one member and image at a time."""
    known = World(15).drawn(60)
    n = known.included.shape[1]
    p = probability(known.margin).astype(float)
    found = attacked(known).scores["rmia"]
    for member in (0, 17, 59):
        others = known.block != known.block[member]
        z = p[member, n:] / p[others][:, n:].mean(0)
        for i in range(n):
            inside = known.included[:, i]
            mean = (p[others & inside, i].mean() + p[others & ~inside, i].mean()) / 2
            beaten = ((p[member, i] / mean) / z >= attacks.GAMMA).sum()
            assert found[member, i] == pytest.approx(-np.log1p(-beaten / (len(z) + 1)), rel=0.03, abs=0.03)


def test_members_that_cannot_be_told_are_not_told():
    """In and out alike: every attack is at chance, which attacks on their own members would not be."""
    world = World(400, gap=0.0)
    world.mean_in, world.sd_in = world.out, world.sd_out
    known = world.drawn(60)
    for name, curve in curves(known, attacked(known)).items():
        found = curve.summary()
        assert found["auc"] == pytest.approx(0.5, abs=0.01), name
        assert found["tpr_0.01"] == pytest.approx(0.01, abs=0.004), name
    auc = separations(turned(on_train(known)), turned(known.included))
    assert auc.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("k", [40, 100, 200, 1000])
def test_an_examples_auc_is_that_of_mann_and_whitney_and_its_interval_covers(k):
    covered = []
    for seed in range(4000 // k if k < 1000 else 3):
        world = World(300, seed)
        known = world.drawn(k, seed)
        margin, included = turned(on_train(known)), turned(known.included)
        auc = separations(margin, included)
        low, high = separation_interval(auc, included.sum(1), (~included).sum(1))
        covered.append((low <= world.auc()) & (world.auc() <= high))
        if not seed:
            pairs = [
                np.subtract.outer(m[i].astype(float), m[~i].astype(float))
                for m, i in zip(margin, included, strict=True)
            ]
            assert auc == pytest.approx([np.mean((p > 0) + (p == 0) / 2) for p in pairs])
    assert 0.93 <= np.mean(covered) <= 0.97


def test_the_interval_of_an_example_that_is_always_told_is_one_sided():
    low, high = separation_interval(np.array([1.0, 0.5, np.nan]), np.full(3, 28), np.full(3, 12))
    assert high[0] == pytest.approx(1)
    assert 0.85 < low[0] < 0.95
    assert low[1] == pytest.approx(1 - high[1])
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.parametrize("k", [40, 60, 100, 200, 400])
def test_what_is_said_of_single_examples_covers_what_fresh_networks_would_show(k):
    """The truth is that of networks that no attacker has seen, attacked with these members."""
    shares, medians, too_large = [], [], []
    for seed in range(12):
        world = World(300, seed)
        known = world.drawn(k, seed)
        found = attacked(known, ["online"])
        score, included = turned(found.by_all), turned(known.included)
        at = threshold(trials(found.scores["online"], known.included, known.block), 0.01)
        share, low, high = found_at(score, included, at)
        middle, first, last = typical(score, included)
        truth, median = _of_fresh(world, known, found.pooled, at)
        between = (truth > 0.02) & (truth < 0.98)
        shares.append(((low <= truth) & (truth <= high))[between])
        medians.append((first <= median) & (median <= last))
        too_large.append(np.median(middle - median) / np.median(last - first))
        assert share.mean() == pytest.approx(truth.mean(), abs=0.01)
    assert 0.93 <= np.concatenate(shares).mean() <= 0.98, "exact intervals are wide"
    assert 0.93 <= np.mean(medians) <= 0.97  # of 3,600, where 0.7 points are two standard errors
    assert np.mean(too_large) < 0.05


def _of_fresh(world, known, pooled, at, points=4000):
    """Of fresh members with each example: the share whose score reaches `at`, and the median score."""
    margin, nobody = on_train(known), known.block.max() + 1
    block = np.append(known.block * 0, nobody)
    blocks = Blocks.of(block)
    there = blocks.there[:, None]
    arranged = blocks.arrange(np.concatenate([margin, margin[:1]]))
    inside = blocks.arrange(np.concatenate([known.included, known.included[:1]]))
    sides = [side(arranged, inside & there), side(arranged, ~inside & there)]
    sides = [Side(s.count[:, 1:], s.median[:, 1:], s.variance[:, 1:]) for s in sides]
    if pooled:
        (sides,) = reference.pooled([tuple(sides)])
    quantiles = norm.ppf((np.arange(points) + 0.5) / points)[:, None]
    fresh = (world.mean_in + quantiles * world.sd_in)[:, :, None]
    scores = attacks.online(fresh, *sides)[:, :, 0]
    return (scores >= at).mean(0), np.median(scores, 0)


@pytest.mark.parametrize("r", [0.5, 0.7])
@pytest.mark.parametrize("gap", [0.0, 0.3, 3.0])
def test_the_typical_members_interval_covers_whether_examples_are_told_or_not(gap, r):
    covered = []
    for seed in range(12):
        world = World(300, seed, gap=gap)
        known = world.drawn(60, seed, r=r)
        found = attacked(known, ["online"])
        _, low, high = typical(turned(found.by_all), turned(known.included))
        _, median = _of_fresh(world, known, found.pooled, 0.0)
        covered.append((low <= median) & (median <= high))
    assert 0.93 <= np.mean(covered) <= 0.97


def test_a_score_by_all_members_is_lira_with_no_block_held_out():
    known = World(40).drawn(150, r=0.5)
    margin = on_train(known).astype(float)
    expected = lira_of_tensorflow_privacy(known.included, margin, margin)
    np.testing.assert_allclose(attacked(known).by_all, expected, rtol=2e-3, atol=1e-3)  # as it is kept
    assert attacked(known, ["offline"]).by_all is None


@pytest.mark.parametrize("k", [40, 150])
def test_a_cells_intervals_cover_what_other_members_would_show(k):
    assert (k // 10 <= REFITTED) == (k == 40), "both ways to leave out a block are tried"
    world, found = World(300, gap=0.7, luck=0.3), []
    for seed in range(60):
        known = world.drawn(k, seed)
        found.append(curves(known, attacked(known, ["online"]))["online"].summary())
    for key in ("auc", "balanced_accuracy", "tpr_0.01"):
        values = np.array([one[key] for one in found])
        low, high = (np.array([one[key + end] for one in found]) for end in ("_low", "_high"))
        covered = (low <= values.mean()) & (values.mean() <= high)
        assert covered.mean() >= 0.88, key  # of 60, where 95 % are expected
        assert (high - low).mean() / 2 < 6 * values.std(), key


def test_an_examples_tail_is_told_by_margins_and_not_by_probabilities():
    """Log odds of 12 with the example and 9 without it: both are 1 as float16 probabilities."""
    rng = np.random.default_rng(0)
    n, k = 20, 100
    design = Subsets()
    included = np.stack([design.included(j, n) for j in range(k)])
    block = np.array([design.block(j) for j in range(k)])
    margin = stored(rng.normal(np.where(included, 12, 9), 0.2))
    of_schema_1 = stored(clipped(probability(margin)))
    both = [Known(m, included, block) for m in (margin, of_schema_1)]
    told, not_told = (
        roc(trials(attacked(known, ["online"]).scores["online"], included, block).count.sum(0)).auc
        for known in both
    )
    assert told > 0.99
    assert not_told == pytest.approx(0.5, abs=0.01)
    assert (separations(turned(margin), turned(included)) == 1).all()
    assert (separations(turned(of_schema_1), turned(included)) < 0.55).all()


def test_a_threshold_lets_through_its_share_and_bins_keep_the_order():
    rng = np.random.default_rng(0)
    score = held(rng.normal(0, 3, (20, 5000)))
    included = rng.random(score.shape) < 0.5
    counted = trials(score, included, np.repeat([0, 1], 10))
    for rate in RATES:
        passed = (score >= threshold(counted, rate))[~included].mean()
        assert passed == pytest.approx(rate, rel=0.1)
    ordered = np.sort(score.ravel())
    bins = bin_of(sort_key(ordered))
    assert (np.diff(bins) >= 0).all()
    assert all(lower_edge(int(b)) <= v for b, v in zip(bins[::500], ordered[::500], strict=True))
    curve = roc(counted.count.sum(0))
    assert curve.auc == pytest.approx(0.5, abs=0.01)
    assert np.isnan(threshold(trials(score[:, :100], included[:, :100], np.repeat([0, 1], 10)), 0.001))


def test_where_there_is_too_little_nothing_is_said():
    known = World(30).drawn(20)
    two_blocks = curves(known, attacked(known))["online"].summary()
    assert two_blocks["auc"] > 0.5
    assert np.isnan([two_blocks[key] for key in ("auc_low", "auc_high", "tpr_0.01", "tpr_0.001")]).all()
    without_test = Known(on_train(known), known.included, known.block)
    assert "rmia" not in attacked(without_test).scores
    always = np.ones_like(known.included)
    assert np.isnan(attacked(Known(known.margin, always, known.block)).scores["online"]).all()


def test_balanced_accuracy_and_auc_are_those_of_known_curves():
    cut = brentq(lambda t: norm.pdf(t) - norm.pdf(t - 2), -3, 5)
    at = np.linspace(8, -8, 4001)
    curve = Roc(norm.sf(at), norm.sf(at - 2), 10**6)
    assert curve.auc == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=1e-3)
    assert curve.balanced_accuracy == pytest.approx((norm.sf(cut - 2) + norm.cdf(cut)) / 2, abs=1e-3)
    assert curve.true_positive_at(0.01) == pytest.approx(norm.sf(norm.isf(0.01) - 2), abs=1e-3)


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.random.default_rng(0).normal(5, 2, 12)
    without = (values.sum() - values) / 11
    half = values.std(ddof=1) / np.sqrt(12) * 2.200985
    assert jackknife_interval(values.mean(), without) == pytest.approx(
        (values.mean() - half, values.mean() + half)
    )


@pytest.mark.parametrize("odds", [-20, -1000, -60_000])
def test_rmia_finds_nothing_in_what_all_members_are_equally_sure_of(odds):
    """The probability itself is 0 in float16 below about -17, and in float64 below -745."""
    known = World(30).drawn(40)
    known.margin[:, 7] = odds
    expected = known.margin.copy()
    expected[:, 7] = 5
    inside = known.included
    same = attacked(Known(expected, inside, known.block)).scores["rmia"]
    found = attacked(known).scores["rmia"]
    np.testing.assert_allclose(found[:, 7], same[:, 7], atol=0.02)
    test = known.margin.copy()
    test[:, inside.shape[1] + 3] = odds
    assert np.isfinite(attacked(Known(test, inside, known.block)).scores["rmia"]).all()


def test_intervals_are_of_the_attack_that_is_told_of():
    """Near the number from which on each example has a variance of its own, a block less is too few."""
    world = World(300)
    known = world.drawn(101, r=0.55)
    found = attacked(known)
    fewer = known.part(known.block != known.block[0])
    assert len(np.unique(known.block)) <= REFITTED
    assert few(fewer)
    assert not found.pooled
    summary = curves(known, found)["online"].summary()
    assert summary["auc_high"] - summary["auc_low"] < 0.06


def test_members_of_leave_one_out_are_as_many_as_are_without_each_target():
    design = LeaveOneOut(targets=tuple(range(10)))
    included = np.stack([design.included(j, 60) for j in range(1000)])
    block = np.array([design.block(j) for j in range(1000)])
    margin = stored(np.random.default_rng(0).normal(np.where(included, 6, 3), 1))
    known = Known(margin, included, block)
    assert not few(known)
    found = attacked(known)
    assert not found.pooled
    assert curves(known, found)["online"].summary()["auc"] > 0.95
    for name, score in found.scores.items():
        assert np.isnan(score[:, 10:]).all(), f"{name} has no scores of examples that are always included"


def test_all_attacks_are_scored_on_the_same_members_and_examples():
    rng = np.random.default_rng(0)
    known = World(20).drawn(30)
    included = rng.random(known.included.shape) < 0.9
    scores = attacked(Known(known.margin, included, known.block)).scores
    assert set(scores) == {"online", "offline", "rmia", "threshold"}
    unknown = [np.isnan(score) for score in scores.values()]
    assert unknown[0].any()
    assert not unknown[0].all()
    assert all((one == unknown[0]).all() for one in unknown)


def test_more_blocks_than_are_attacked_anew_leave_out_their_own_trials():
    known = World(50).drawn(150)
    curve = curves(known, attacked(known, ["online"]))["online"]
    without = curve.without(lambda one: np.array([one.auc, one.negatives]))
    rest = known.block != 3
    score = attacked(known, ["online"]).scores["online"]
    expected = roc(trials(score[rest], known.included[rest], known.block[rest]).count.sum(0))
    assert without[3] == pytest.approx([expected.auc, expected.negatives])


def asked(world, k, seed=0, queries=5, r=0.7, shared=0.0):
    """As `World.drawn`, but with several queries, whose noise has a share of its variance in common, and the
    world of their mean margin."""
    n, design = len(world.out), Subsets(r=r, seed=seed)
    rng = np.random.default_rng(2000 + seed)
    included = np.stack([design.included(j, n) for j in range(k)])
    noise = np.sqrt(shared) * rng.normal(size=(1, k, n))
    noise = noise + np.sqrt(1 - shared) * rng.normal(size=(queries, k, n))
    mean, sd = (
        np.where(included, *both) for both in ((world.mean_in, world.out), (world.sd_in, world.sd_out))
    )
    margin = stored(mean + sd * noise + world.luck * rng.normal(size=(k, 1)))
    block = np.array([design.block(j) for j in range(k)])
    of_mean = copy(world)
    less = np.sqrt(shared + (1 - shared) / queries)
    of_mean.sd_in, of_mean.sd_out = world.sd_in * less, world.sd_out * less
    return Known(margin[0], included, block, tuple(margin[1:])), of_mean


def of_several_queries(keep, scores, check_scores, share_variance):
    """`generate_ours` for scores of several queries, [members, examples, queries], one example and query at a
    time: log densities are averaged over the queries. Offline by how many standard deviations a margin is
    above the median, which is the paper's one-sided test. share_variance: by the examples of a query."""
    online, offline = np.zeros((2, *check_scores.shape))
    for q in range(scores.shape[2]):
        sides = [[scores[on[:, i], i, q] for i in range(keep.shape[1])] for on in (keep, ~keep)]
        spreads = [[np.std(values) for values in own] for own in sides]
        if share_variance:
            spreads = [
                [np.sqrt(sum(v.var() * len(v) for v in own) / sum(len(v) - 1 for v in own))] * len(own)
                for own in sides
            ]
        for i in range(keep.shape[1]):
            kept, left = ((np.median(own[i]), spread[i]) for own, spread in zip(sides, spreads, strict=True))
            at = check_scores[:, i, q]
            online[:, i, q] = norm.logpdf(at, *kept) - norm.logpdf(at, *left)
            offline[:, i, q] = (at - left[0]) / left[1]
    return online.mean(2), offline.mean(2)


@pytest.mark.parametrize("k", [40, 200])
def test_lira_by_several_queries_is_the_mean_over_them_with_a_whole_block_held_out(k):
    known, _ = asked(World(30), k, shared=0.3)
    margin = np.stack(known.queries(slice(None)), axis=2).astype(float)
    found = attacked(known)
    assert found.pooled == (k == 40), "both kinds of variance are tried"
    assert set(found.scores) == {"online", "offline", "threshold"}, "test examples have no views for RMIA"
    for block in np.unique(known.block):
        mine = known.block == block
        expected = of_several_queries(known.included[~mine], margin[~mine], margin[mine], found.pooled)
        for name, values in zip(("online", "offline"), expected, strict=True):
            np.testing.assert_allclose(found.scores[name][mine], values, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.scores["threshold"], margin.mean(2), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(known.averaged.margin, margin.mean(2), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("k", [40, 150])
def test_the_same_query_again_says_nothing_more(k):
    known = World(40).drawn(k)
    again = replace(known, margin=on_train(known), views=(on_train(known),) * 3)
    once = attacked(known, ("online", "offline", "threshold"))
    both = attacked(again)
    for name, score in once.scores.items():
        np.testing.assert_allclose(both.scores[name], score, rtol=1e-3)
    assert (again.averaged.margin == on_train(known)).all()
    gain = curves(again, both)["online"].gain(curves(known, once)["online"])
    assert all(abs(value) < 1e-3 for value in gain.values() if not np.isnan(value))
    assert again.part(known.block != 1).views[2].shape == (np.sum(known.block != 1), 40)


@pytest.mark.parametrize("k", [40, 150])
def test_queries_help_where_their_noise_is_their_own_and_the_intervals_cover_by_how_much(k):
    world, found, helps = World(200, gap=0.5, luck=0.3), [], []
    for seed in range(50):
        known, _ = asked(world, k, seed)
        several = attacked(known, ["online"])
        curve = curves(known, several)["online"]
        alone = replace(known, views=())
        image = curves(alone, attacked(alone, ["online"], several.pooled))["online"]
        found.append(curve.summary())
        helps.append(curve.gain(image))
    for told in (found, helps):
        for key in ("auc", "balanced_accuracy", "tpr_0.01"):
            values, low, high = (np.array([one[key + end] for one in told]) for end in ("", "_low", "_high"))
            covered = (low <= values.mean()) & (values.mean() <= high)
            assert covered.mean() >= 0.86, key  # of 50, where 95 % are expected
            assert (high - low).mean() / 2 < 6 * values.std(), key
    assert np.mean([one["auc_low"] > 0.02 for one in helps]) == 1
    assert np.mean([one["tpr_0.01_low"] > 0 for one in helps]) > 0.9
    assert np.isnan(curve.gain(image)["tpr_0.001"]), "10,000 members without an example would be needed"


@pytest.mark.parametrize("shared", [0.0, 0.6])
@pytest.mark.parametrize("k", [40, 150])
def test_with_queries_what_is_said_of_single_examples_covers_what_fresh_networks_would_show(k, shared):
    """They are of the mean margin, whose truth is known."""
    shares, medians, aucs = [], [], []
    for seed in range(12):
        known, of_mean = asked(World(300, seed, gap=0.5), k, seed, shared=shared)
        one = known.averaged
        found = attacked(one, ["online"])
        score, margin, included = turned(found.by_all), turned(one.margin), turned(one.included)
        at = threshold(trials(found.scores["online"], one.included, one.block), 0.01)
        _, low, high = found_at(score, included, at)
        _, first, last = typical(score, included)
        truth, median = _of_fresh(of_mean, one, found.pooled, at)
        between = (truth > 0.02) & (truth < 0.98)
        shares.append(((low <= truth) & (truth <= high))[between])
        medians.append((first <= median) & (median <= last))
        auc = separations(margin, included)
        low, high = separation_interval(auc, included.sum(1), (~included).sum(1))
        aucs.append((low <= of_mean.auc()) & (of_mean.auc() <= high))
    for covered in (np.concatenate(shares), medians):
        assert 0.93 <= np.mean(covered) <= 0.98, "exact intervals, of counts and of ranks, are wide"
    assert 0.93 <= np.mean(aucs) <= 0.97
