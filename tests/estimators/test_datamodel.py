"""Datamodels of members whose margins are a known linear function of what they included, and noise."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from memreg.design import Subsets
from memreg.estimators.datamodel import counting, datamodels, fitted, mean_interval

N, TARGETS = 60, 6


def linear(k, noise=1.0, effect=2.0):
    """(included, margin, correct, block, weights) of k members: two examples act on each target."""
    rng, design = np.random.default_rng(0), Subsets(r=0.5)
    included = np.stack([design.included(m, N) for m in range(k)])
    block = np.array([design.block(m) for m in range(k)])
    weights = np.zeros((TARGETS, N))
    for t in range(TARGETS):
        weights[t, [2 * t, 2 * t + 1]] = effect
    margin = included @ weights.T - effect + rng.normal(0, noise, (k, TARGETS))
    return included, margin, margin > 0, block, weights


def fit(k, **changes):
    included, margin, correct, block, weights = linear(k, **changes)
    used = fitted(block)
    return datamodels(included, margin, counting(included[used], correct[used]), block), weights


def test_weights_are_found_and_the_ceiling_is_what_the_true_weights_reach():
    found, weights = fit(600)
    assert found.weights[weights > 0] == pytest.approx(2, abs=0.4)
    assert np.abs(found.weights[weights == 0]).max() < 0.3
    included, margin, _, block, _ = linear(600)
    held = ~fitted(block)
    assert held.sum() == 120
    best = [
        spearmanr((included @ w)[held], m).statistic for w, m in zip(weights, margin[held].T, strict=True)
    ]
    assert found.ceiling == pytest.approx(np.mean(best), abs=0.05)
    assert found.ceiling - 0.12 < found.lds.mean() < found.ceiling + 0.02
    assert found.lds.mean() > found.lds_counted.mean()


def test_of_few_members_lasso_predicts_better_than_counting_and_the_ceiling_stays():
    few, many = fit(100)[0], fit(1000)[0]
    assert few.lds.mean() > few.lds_counted.mean() + 0.05
    assert few.lds.mean() < many.lds.mean() + 0.05
    assert few.ceiling == pytest.approx(many.ceiling, abs=0.12)


def test_where_nothing_acts_nothing_is_claimed():
    found, _ = fit(300, effect=0.0)
    assert abs(found.lds.mean()) < 0.1
    assert mean_interval(found.halves)[1] < 0.05
    assert (found.weights != 0).mean() < 0.2


def test_counting_is_the_influence_of_feldman_and_zhang():
    included, _, correct, _, _ = linear(50)
    found = counting(included, correct)
    one = correct[included[:, 7], 3].mean() - correct[~included[:, 7], 3].mean()
    assert found[3, 7] == pytest.approx(one)
    assert (counting(np.ones_like(included), correct) == 0).all()
