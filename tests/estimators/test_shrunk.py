"""Scores from few members by empirical Bayes, on members whose probabilities are known and on real ones."""

from functools import partial

import mlflow
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from studies import PLANTED_RECIPE, bad_input, program, uri

from analysis.memorization import memorization
from entrypoints.marginal_utility import marginal_utility
from entrypoints.train import train
from memreg.errors import MemregError
from memreg.estimators.beta_binomial import beta_posterior
from memreg.estimators.counts import tally
from memreg.estimators.gaussian import LIMIT, confidence
from memreg.estimators.scores import scores
from memreg.estimators.shrunk import normal_posterior, posterior_scores
from memreg.estimators.spline import fitted, spline
from memreg.margins import stored
from memreg.registry import Registry

T, TAU, SD = -0.4, 0.3, 1.5


def right(mean):
    """Pr[correct] of members whose log odds are normal with this mean."""
    return norm.cdf((mean - T) / np.hypot(SD, TAU))


def drawn(k, n=1500, seed=0):
    """(included, correct, margin) [k, n], and the true score [n]: examples differ in how hard they are, and
    by themselves."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(1.5, 1.5, n)
    inside, outside = hard + 3, hard + rng.normal(0, 1, n)
    included = np.argsort(rng.random((k, n)), axis=0) < round(0.7 * k)
    odds = rng.normal(np.where(included, inside, outside), SD)
    correct = rng.random((k, n)) < norm.cdf((odds - T) / TAU)
    return included, correct, np.clip(stored(odds), -LIMIT, LIMIT), right(inside) - right(outside)


def counted(included, correct):
    return tally(included, correct, np.zeros(len(included), int)).total


def shrunk(included, correct, p):
    sums = confidence(included, correct, p), confidence(~included, correct, p)
    return posterior_scores(counted(included, correct), *sums)


@pytest.mark.parametrize(("k", "most"), [(20, 0.75), (40, 0.75), (200, 0.9)])
def test_errors_are_smaller_than_by_counting_and_intervals_cover(k, most):
    included, correct, p, true = drawn(k, seed=k)
    table, plain = shrunk(included, correct, p), scores(counted(included, correct))
    assert table.notna().all(axis=None)
    error = table.score - true
    assert error.abs().mean() < most * (plain.score - true).abs().mean()
    assert 0.92 <= ((table.low <= true) & (true <= table.high)).mean() <= 0.98
    assert np.sqrt((table.standard_error**2).mean()) == pytest.approx(np.sqrt((error**2).mean()), rel=0.15)
    truly = set(np.argsort(-true)[:100])
    found, by_counting = (truly.intersection(np.argsort(-t.score)[:100]) for t in (table, plain))
    assert len(found) > len(by_counting)


def test_the_highest_scores_come_out_too_low():
    included, correct, p, true = drawn(40)
    top = np.argsort(-true)[:30]
    assert -0.2 < (shrunk(included, correct, p).score - true)[top].mean() < -0.02


def test_values_are_what_they_are_called():
    included, correct, p, _ = drawn(40)
    table = shrunk(included, correct, p)
    assert len(table) == included.shape[1]
    assert np.allclose(table.score, table.included_accuracy - table.excluded_accuracy)
    assert (table.standard_error > 0).all()
    assert (table.low >= -1).all()
    assert (table.low <= table.score).all()
    assert (table.score <= table.high).all()
    assert (table.high <= 1).all()


def test_the_order_of_examples_and_of_members_does_not_matter():
    included, correct, p, _ = drawn(40, n=300)
    table, rng = shrunk(included, correct, p), np.random.default_rng(1)
    examples, members = rng.permutation(300), rng.permutation(40)
    by_examples = shrunk(included[:, examples], correct[:, examples], p[:, examples])
    by_members = shrunk(included[members], correct[members], p[members])
    assert np.allclose(by_examples, table.iloc[examples], atol=1e-4)
    assert np.allclose(by_members, table, atol=1e-4)


def test_shards_add_up_to_the_whole():
    included, correct, p, _ = drawn(40, n=300)
    a, b = slice(0, 13), slice(13, 40)
    excluding = confidence(included[a], correct[a], p[a]) + confidence(included[b], correct[b], p[b])
    including = confidence(~included[a], correct[a], p[a]) + confidence(~included[b], correct[b], p[b])
    parts = posterior_scores(counted(included, correct), excluding, including)
    assert np.allclose(parts, shrunk(included, correct, p), atol=1e-6)


def test_no_score_without_members_on_both_sides_and_none_else_suffers():
    included, correct, p, _ = drawn(40, n=300)
    included[:, 0], included[:, 1], included[:, 2] = True, False, True
    included[0, 2] = False
    table = shrunk(included, correct, p)
    assert table.iloc[:3].isna().all(axis=None)
    assert np.allclose(table.iloc[3:], shrunk(included[:, 3:], correct[:, 3:], p[:, 3:]), atol=0.02)
    assert shrunk(np.ones_like(included), correct, p).isna().all(axis=None)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_members_that_all_agree(value):
    included, correct, p, _ = drawn(40, n=300)
    table = shrunk(included, np.full_like(correct, value > 0.5), np.full_like(p, value))
    assert table.score.to_numpy() == pytest.approx(np.zeros(300), abs=0.01)
    assert table.notna().all(axis=None)


def test_a_spline_follows_a_bend_and_survives_a_constant():
    x = np.linspace(-2, 2, 400)
    assert np.abs(fitted(spline(x), np.abs(x)) - np.abs(x)).max() < 0.15
    assert np.allclose(fitted(spline(np.ones(5)), np.arange(5.0)), 2)


def test_shares_go_to_what_is_expected_as_far_as_members_leave_room():
    """Probabilities from Beta(mean * 8, (1 - mean) * 8), where the mean is logistic in x."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    mean, n = expit(x - 1), np.full(4000, 12)
    true = rng.beta(mean * 8, (1 - mean) * 8)
    a, b = beta_posterior(spline(x), rng.binomial(n, true), n)
    assert np.median(a + b - n) == pytest.approx(8, rel=0.2)
    assert np.abs((a / (a + b) - true).mean()) < 0.01
    assert ((a / (a + b) - true) ** 2).mean() == pytest.approx(
        (a * b / (a + b) ** 2 / (a + b + 1)).mean(), rel=0.1
    )


def test_normal_values_go_to_what_is_expected_as_far_as_noise_leaves_room():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=4000), rng.uniform(0.2, 2, 4000)
    true = np.abs(x) + 0.7 * rng.normal(size=4000)
    mean, variance = normal_posterior(spline(x), true + np.sqrt(noise) * rng.normal(size=4000), noise)
    assert ((mean - true) ** 2 / variance).mean() == pytest.approx(1, abs=0.08)
    assert variance.max() < 0.7**2


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    return partial(program, monkeypatch, capsys)


def trained(do, members):
    fields = [f"--{key.replace('_', '-')}={value}" for key, value in PLANTED_RECIPE.items()]
    do(train, "--dataset", "digits+subset=200", *fields, "--members", str(members), "--study", "few")
    return Registry().cells("few")["cell"][0]


def test_a_stored_cell_is_scored_and_scores_parquet_stays(here, monkeypatch, capsys):
    cell = trained(here, 8)
    words = ("--cell", cell, "--estimator", "shrunk")
    bad_input(monkeypatch, capsys, memorization, *words, match="has 8 members: shrunk takes 20 or more")
    cell = trained(here, 30)
    before = Registry().scores(cell)
    assert "no mean and no share above a threshold" in here(memorization, *words)
    (run,) = mlflow.search_runs(
        filter_string="tags.`memreg.kind` = 'analysis' and attributes.status = 'FINISHED'",
        output_format="list",
        search_all_experiments=True,
    )
    assert not {"mean_score", "counted_fraction/0.25", "memorized_fraction/0.25"} & run.data.metrics.keys()
    by_threshold = ("--cell", cell, "--estimator", "shrunk", "--thresholds", "0.5")
    bad_input(monkeypatch, capsys, marginal_utility, *by_threshold, match="is for no threshold")
    table, plain = Registry().scores(cell, "shrunk"), Registry().scores(cell)
    assert plain.equals(before)
    assert table[["example", "label"]].equals(plain[["example", "label"]])
    assert np.corrcoef(table["score"], plain["score"])[0, 1] > 0.6
    assert table["score"].std() < plain["score"].std()
    assert (table["high"] - table["low"]).median() < (plain["high"] - plain["low"]).median()
    trained(here, 32)
    with pytest.raises(
        MemregError, match=r"from 30 members of cell .*, which has 32 now: .*--estimator shrunk"
    ):
        Registry().scores(cell, "shrunk")
    bad_input(
        monkeypatch, capsys, memorization, *words, "--neighbours", "x", match="shrunk uses no neighbours"
    )
