"""Influence functions of the last layer: recomputed by hand, and against training without each example."""

import numpy as np
import pytest
from parts import needs
from scipy.special import log_softmax, softmax
from scipy.stats import spearmanr

from memreg.errors import MemregError
from memreg.estimators.influence_function import DAMPING, MOST, influence_function, self_influence
from memreg.estimators.traces import Traces


@pytest.fixture(autouse=True)
def _captum():
    needs("captum")


def toy(n=40, width=4, classes=3, seed=0):
    """What a last layer is given, with its column of ones, its logits and labels."""
    rng = np.random.default_rng(seed)
    given = np.column_stack([rng.normal(size=(n, width)), np.ones(n)])
    logits = given @ rng.normal(size=(width + 1, classes))
    return given, logits, rng.integers(0, classes, n)


def by_hand(given, logits, label):
    """g' (H + d I)^-1 g, from the Kronecker products of which both are made."""
    p = softmax(logits, axis=1)
    n, classes = p.shape
    each = [np.kron(np.diag(q) - np.outer(q, q), np.outer(h, h)) for q, h in zip(p, given, strict=True)]
    hessian = np.sum(each, axis=0)
    damped = hessian + DAMPING * np.linalg.eigvalsh(hessian).mean() * np.eye(len(hessian))
    found = []
    for i in range(n):
        gradient = np.kron(p[i] - np.eye(classes)[label[i]], given[i])
        found.append(gradient @ np.linalg.solve(damped, gradient))
    return np.array(found)


def traced(members, included=None):
    """Traces of members, each (given, logits, label), as they are stored."""
    columns = [np.stack(values).astype(np.float16) for values in zip(*members, strict=True)]
    shape = columns[2].shape
    quantities = dict(zip(("layer_input", "layer_output"), columns, strict=False))
    return Traces(
        np.arange(len(members), dtype=np.int32),
        np.ones(shape, bool) if included is None else included,
        np.array([1], np.int32),
        np.ones(1),
        {},
        {**quantities, "layer_label": columns[2][:, :, None]},
    )


def test_it_is_what_the_equation_says():
    own = toy()
    assert self_influence(*own) == pytest.approx(by_hand(*own), rel=1e-5)


def test_it_is_how_much_an_examples_loss_rises_when_it_is_left_out():
    """Of logistic regression, whose last layer is all of it: trained anew without each example."""
    from sklearn.linear_model import LogisticRegression

    given, logits, _ = toy(80)
    rng = np.random.default_rng(1)
    label = np.array([rng.choice(3, p=q) for q in softmax(logits, axis=1)])
    penalty = 0.6  # near the damping

    def fitted(rows):
        model = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-8, max_iter=1000)
        return given @ model.fit(given[rows], label[rows]).coef_.T

    whole = fitted(np.arange(80))

    def loss(i, outputs):
        return -log_softmax(outputs[i])[label[i]]

    rise = [loss(i, fitted(np.delete(np.arange(80), i))) - loss(i, whole) for i in range(80)]
    found = self_influence(given, whole, label)
    assert spearmanr(found, rise).statistic > 0.98
    assert np.median(found / rise) == pytest.approx(1, abs=0.2)


def test_it_is_of_each_member_by_what_it_saw():
    members = [toy(seed=seed) for seed in range(3)]
    included = np.random.default_rng(0).random((3, 40)) < 0.7
    included[0], included[:, 7] = True, False
    found = influence_function(traced(members, included))
    each = np.full((3, 40), np.nan)
    for m, (own, seen) in enumerate(zip(members, included, strict=True)):
        each[m, seen] = by_hand(*(values[seen] for values in own))
    counted = np.where(included, each, 0).sum(0) / np.maximum(included.sum(0), 1)
    assert np.isnan(found).tolist() == [i == 7 for i in range(40)]
    assert np.delete(found, 7) == near(np.delete(counted, 7))


def near(values):
    """As far as float16 goes, in which traces are stored."""
    return pytest.approx(values, rel=0.05, abs=0.02)


def test_a_member_that_diverged_is_left_out_and_one_without_biases_is_not():
    members = [toy(seed=seed) for seed in range(2)]
    members[1][1][3] = np.nan
    given, _, label = members[0]
    without = [(given[:, :-1], given[:, :-1] @ np.arange(12).reshape(4, 3), label)]
    both = influence_function(traced(members))
    assert np.array_equal(both, influence_function(traced(members[:1])))
    assert influence_function(traced(without)) == near(by_hand(*without[0]))


def test_captums_seed_leaves_torchs_stream_as_it_was():
    import torch

    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    self_influence(*toy())
    assert torch.rand(1) == before


def test_a_hessian_that_captum_does_not_invert_is_refused():
    """All probabilities are alike, and so every eigenvalue is there twice."""
    given, _, label = toy(width=3)
    logits = given @ np.ones((4, 3))
    with pytest.raises(MemregError, match="captum does not invert the Hessian"):
        self_influence(given, logits, label)


def test_a_last_layer_of_too_many_weights_is_refused_in_a_line():
    large = traced([toy(n=5, width=MOST, classes=2)])
    with pytest.raises(MemregError, match="weights: 6,002 are too many, it takes 3,000 or fewer"):
        influence_function(large)
    with pytest.raises(MemregError, match="no quantity 'layer_input'"):
        influence_function(Traces(*(np.zeros(1),) * 4, {}, {}))
