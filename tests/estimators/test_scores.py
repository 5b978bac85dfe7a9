import numpy as np
import pytest
from scipy import stats

from memreg.design import Subsets
from memreg.estimators.bootstrap import interval, replicates, standard_error
from memreg.estimators.counts import tally
from memreg.estimators.scores import counted_fraction, scores
from memreg.estimators.summary import summarise


def simulate(members=200, n=60, n_test=40, seed=0, p1=None, p0=None):
    """Members of a balanced design whose correctness is drawn with known probabilities."""
    rng = np.random.default_rng(seed)
    design = Subsets(r=0.7)
    included = np.stack([design.included(m, n) for m in range(members)])
    p1 = rng.uniform(0.8, 1, n) if p1 is None else p1
    p0 = rng.uniform(0, 1, n) if p0 is None else p0
    on_train = rng.random((members, n)) < np.where(included, p1, p0)
    on_test = rng.random((members, n_test)) < 0.8
    block = np.array([design.block(m) for m in range(members)])
    return included, np.hstack([on_train, on_test]), block, p1, p0


def test_score_is_equation_1_of_the_paper():
    included, correct, block, _, _ = simulate()
    table = scores(tally(included, correct, block).total)
    for i in (0, 17, 59):
        inside, outside = included[:, i], ~included[:, i]
        p1, p0 = correct[inside, i].mean(), correct[outside, i].mean()
        assert table.score[i] == pytest.approx(p1 - p0)
        assert table.included_count[i] == inside.sum()
        assert table.excluded_count[i] == outside.sum()
        expected = np.sqrt(p1 * (1 - p1) / inside.sum() + p0 * (1 - p0) / outside.sum())
        assert table.standard_error[i] == pytest.approx(expected)
        low, high = interval_by_hand(correct[inside, i], correct[outside, i])
        assert (table.low[i], table.high[i]) == pytest.approx((low, high), abs=1e-9)


def interval_by_hand(a, b):
    """MOVER, from Clopper & Pearson's intervals by the F distribution."""

    def exact(x):
        n, k = len(x), x.sum()
        low = k / (k + (n - k + 1) * stats.f.ppf(0.975, 2 * (n - k + 1), 2 * k)) if k else 0
        high = (k + 1) / (k + 1 + (n - k) * stats.f.ppf(0.025, 2 * (n - k), 2 * (k + 1))) if k < n else 1
        return low, high

    (l1, u1), (l2, u2) = exact(a), exact(b)
    d = a.mean() - b.mean()
    return (
        d - np.hypot(a.mean() - l1, u2 - b.mean()),
        d + np.hypot(u1 - a.mean(), b.mean() - l2),
    )


@pytest.mark.parametrize("members", [50, 200, 1000])
def test_intervals_cover_the_true_score(members):
    n = 4000
    rng = np.random.default_rng(members)
    p1, p0 = rng.uniform(0.5, 1, n), rng.uniform(0, 1, n)
    included, correct, block, p1, p0 = simulate(members, n, 1, members, p1, p0)
    table = scores(tally(included, correct, block).total)
    covered = ((table.low <= p1 - p0) & (p1 - p0 <= table.high)).mean()
    assert 0.93 <= covered <= 0.985


def test_never_included_or_never_excluded_has_no_score():
    included = np.array([[True, False, True], [True, False, False]])
    correct = np.array([[True, True, True, True], [True, False, False, True]])
    table = scores(tally(included, correct, np.array([0, 1])).total)
    assert np.isnan(table.score[:2]).all()
    assert np.isnan(table.low[:2]).all()
    assert table.score[2] == 1
    assert summarise(tally(included, correct, np.array([0, 1])))["mean_score"] == 1


def test_negative_scores_are_kept():
    included, correct, block, _, _ = simulate(p1=np.full(60, 0.2), p0=np.full(60, 0.9))
    assert (scores(tally(included, correct, block).total).score < -0.3).all()


def test_tallies_of_shards_add_up_in_any_order():
    included, correct, block, _, _ = simulate(57)
    whole = tally(included, correct, block)
    cut = [slice(40, 57), slice(0, 13), slice(13, 40)]
    a, b, c = (tally(included[s], correct[s], block[s]) for s in cut)
    for joined in (a + b + c, c + (b + a)):
        assert (joined.block == whole.block).all()
        assert (joined.members == whole.members).all()
        assert (joined.counts.excluded_correct == whole.counts.excluded_correct).all()
        assert joined.test_correct == pytest.approx(whole.test_correct)


def test_mean_score_is_the_accuracy_gap_when_counts_are_equal():
    included, correct, block, _, _ = simulate(200)
    m = summarise(tally(included, correct, block))
    assert m["mean_score"] == pytest.approx(m["included_accuracy"] - m["excluded_accuracy"])
    assert m["test_accuracy"] == pytest.approx(correct[:, 60:].mean())


def test_counted_fraction_counts_the_threshold_itself():
    score = np.array([0.25, 0.249, 0.5, np.nan, 0.1 + 0.15])
    assert counted_fraction(score, 0.25) == pytest.approx(3 / 4)
    assert np.isnan(counted_fraction(np.array([np.nan]), 0.25))


def test_bootstrap_standard_error_is_that_of_training_again():
    rng = np.random.default_rng(1)
    p1, p0 = rng.uniform(0.8, 1, 60), rng.uniform(0, 1, 60)
    runs = [summarise(tally(*simulate(200, seed=s, p1=p1, p0=p0)[:3])) for s in range(300)]
    included, correct, block, _, _ = simulate(200, seed=999, p1=p1, p0=p0)
    sums = tally(included, correct, block)
    reps = replicates(sums, 2000)
    for key in ("mean_score", "test_accuracy", "gap", "included_accuracy"):
        truth = [r["included_accuracy"] - r["excluded_accuracy"] if key == "gap" else r[key] for r in runs]
        assert standard_error(reps[key], len(sums.block)) == pytest.approx(np.std(truth), rel=0.45)


def test_one_block_has_no_bootstrap_interval():
    included, correct, block, _, _ = simulate(10)
    reps = replicates(tally(included, correct, block))
    assert np.isnan(interval(0.5, reps["mean_score"], 1)).all()
