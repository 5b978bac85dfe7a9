"""Influence: exact counts in int8, blocks, and a table against the definition."""

import numpy as np
import pytest
import torch

from memreg.estimators import products
from memreg.estimators.influence import ROWS, histogram, influence_blocks, strong_pairs
from memreg.estimators.products import product, together


@pytest.fixture(params=["what torch has", "float32"])
def kernel(request, monkeypatch):
    if request.param == "float32":
        monkeypatch.setattr(products, "_has_int8", lambda: False)


def drawn(members, n_train, n_test, seed=0):
    """Half of the training examples help every tenth test example."""
    rng = np.random.default_rng(seed)
    included = rng.random((members, n_train)) < 0.7
    p = np.full((members, n_test), 0.6)
    p[:, ::10] = 0.2 + 0.6 * included[:, : len(p[0, ::10])]
    return included, rng.random((members, n_test)) < p


def by_definition(included, correct):
    a, b = included.astype(float), correct.astype(float)
    inside, outside = a.sum(0)[:, None], (1 - a).sum(0)[:, None]
    return (a.T @ b) / inside - ((1 - a).T @ b) / outside


@pytest.mark.parametrize(
    "shape", [(4, 3, 5), (2, 1, 1), (50, 1, 7), (1, 5, 1), (1001, 37, 129), (4000, 256, 300)]
)
@pytest.mark.parametrize("density", [0.0, 0.3, 0.95, 1.0])
def test_products_of_masks_equal_those_of_float64(kernel, shape, density):
    k, m, n = shape
    rng = np.random.default_rng(k)
    a, b = rng.random((k, m)) < density, rng.random((k, n)) < density
    expected = a.T.astype(np.float64) @ b.astype(np.float64)
    assert np.array_equal(together(a, b), expected)
    left = torch.from_numpy(a.T.copy()).view(torch.int8)
    assert np.array_equal(product(left, torch.from_numpy(b).view(torch.int8)).numpy(), expected)


def test_blocks_are_the_definition(kernel):
    included, correct = drawn(300, ROWS + 40, 90)
    blocks = list(influence_blocks(included, correct))
    assert [block.first for block in blocks] == [0, ROWS]
    found = np.concatenate([block.influence().numpy() for block in blocks])
    assert np.abs(found - by_definition(included, correct)).max() < 1e-5


def test_strong_pairs_are_all_pairs_above_the_threshold_strongest_first():
    included, correct = drawn(400, 60, 200)
    influence = by_definition(included, correct)
    found = strong_pairs(included, correct, 0.15)
    table = found.table
    assert len(table) == (influence >= 0.15).sum() > 15
    assert np.allclose(table["influence"], influence[table["train"], table["test"]])
    assert table["influence"].is_monotonic_decreasing
    first = table.iloc[0]
    i, j = int(first["train"]), int(first["test"])
    assert j == 10 * i
    assert first["included_count"] == included[:, i].sum()
    p1, p0 = correct[included[:, i], j].mean(), correct[~included[:, i], j].mean()
    variance = p1 * (1 - p1) / first["included_count"] + p0 * (1 - p0) / first["excluded_count"]
    assert first["standard_error"] == pytest.approx(np.sqrt(variance))
    assert (table["low"] < table["influence"]).all()
    assert (table["influence"] < table["high"]).all()


def test_the_table_keeps_the_strongest(monkeypatch):
    included, correct = drawn(200, 2 * ROWS, 100)
    influence = by_definition(included, correct)
    everything = strong_pairs(included, correct, 0.053)
    few = strong_pairs(included, correct, 0.053, limit=50)
    assert len(everything.table) > 200
    assert few.table.equals(everything.table.head(50))
    for found in (everything, few):
        assert found.above == (influence >= 0.053).sum()
        assert found.below == (influence <= -0.053).sum()
        assert found.train == (influence >= 0.053).any(1).sum()
        assert found.test == (influence >= 0.053).any(0).sum()


def test_no_pair_is_an_empty_table():
    included, correct = drawn(100, 10, 10)
    assert len(strong_pairs(included, correct, 0.99).table) == 0


def test_the_histogram_counts_every_pair_once():
    included, correct = drawn(300, 300, 70)
    edges, count = histogram(included, correct)
    assert count.sum() == 300 * 70
    expected, _ = np.histogram(by_definition(included, correct), edges)
    assert np.abs(np.cumsum(expected) - np.cumsum(count)).max() <= 0.002 * count.sum()
