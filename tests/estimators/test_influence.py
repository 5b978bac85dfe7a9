"""Influence: exact counts in int8, blocks, and a table against the definition."""

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, fisher_exact, hypergeom
from scipy.stats.contingency import crosstab

from memreg.design import Subsets
from memreg.estimators import products
from memreg.estimators.hypergeometric import tail
from memreg.estimators.influence import (
    RATE,
    ROWS,
    histogram,
    influence_blocks,
    members_for,
    members_needed,
    strong_pairs,
)
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


def chosen_by_definition(included, correct, threshold):
    """Benjamini & Hochberg over Fisher's exact tests of all pairs, [n_train, n_test]."""
    k, both = len(included), included.T.astype(int) @ correct.astype(int)
    p = hypergeom.sf(both - 1, k, included.sum(0)[:, None], correct.sum(0))
    p[by_definition(included, correct) < threshold] = 1
    return false_discovery_control(p.ravel()).reshape(p.shape) <= RATE


def test_strong_pairs_are_those_that_chance_does_not_explain_strongest_first():
    included, correct = drawn(400, 60, 200)
    influence = by_definition(included, correct)
    found = strong_pairs(included, correct, 0.15)
    table = found.table
    assert found.above == (influence >= 0.15).sum() > len(table) == found.chosen > 15
    assert found.below == (influence <= -0.15).sum()
    chosen = np.zeros_like(influence, bool)
    chosen[table["train"], table["test"]] = True
    assert (chosen == chosen_by_definition(included, correct, 0.15)).all()
    assert np.allclose(table["influence"], influence[table["train"], table["test"]])
    assert table["influence"].is_monotonic_decreasing
    first = table.iloc[0]
    i, j = int(first["train"]), int(first["test"])
    assert j == 10 * i
    assert first["included_count"] == included[:, i].sum()
    inside = included[:, i]
    assert first["p"] == pytest.approx(fisher_exact(crosstab(inside, correct[:, j]).count, "greater").pvalue)
    p1, p0 = correct[inside, j].mean(), correct[~inside, j].mean()
    variance = p1 * (1 - p1) / first["included_count"] + p0 * (1 - p0) / first["excluded_count"]
    assert first["standard_error"] == pytest.approx(np.sqrt(variance))
    assert (table["low"] < table["influence"]).all()
    assert (table["influence"] < table["high"]).all()


def test_the_table_keeps_the_surest():
    included, correct = drawn(2000, 2 * ROWS, 600)
    everything = strong_pairs(included, correct, 0.02)
    few = strong_pairs(included, correct, 0.02, limit=20)
    assert len(everything.table) == everything.chosen == few.chosen > 50
    assert everything.above == few.above > 1000
    least = everything.table.nsmallest(20, "p")
    assert set(zip(few.table["train"], few.table["test"], strict=True)) == set(
        zip(least["train"], least["test"], strict=True)
    )


@pytest.mark.parametrize("k", [40, 100])
def test_shuffled_members_give_as_many_pairs_as_chance_is_said_to_and_none_is_chosen(k):
    """Of balanced blocks and of masks that are drawn; at 40 members nearly every pair above is chance."""
    rng = np.random.default_rng(k)
    for design in (None, Subsets()):
        included, correct = drawn(k, 400, 300)
        if design:
            included = np.stack([design.included(m, 400) for m in range(k)])
        shuffled = [strong_pairs(included[rng.permutation(k)], correct, 0.15) for _ in range(20)]
        above = np.array([found.above for found in shuffled])
        assert above.mean() == pytest.approx(shuffled[0].by_chance, rel=0.01)
        assert sum(found.chosen > 0 for found in shuffled) <= 3


@pytest.mark.parametrize("k", [100, 400, 1000])
def test_few_of_the_chosen_pairs_are_false(k):
    false, found = 0, 0
    for seed in range(10):
        pairs = strong_pairs(*drawn(k, 100, 300, seed), 0.15).table
        false += (pairs["test"] != 10 * pairs["train"]).sum()
        found += len(pairs)
    assert found > 200
    assert false / found <= 0.06


def test_no_pair_is_an_empty_table():
    included, correct = drawn(100, 10, 10)
    assert len(strong_pairs(included, correct, 0.99).table) == 0


def test_with_fewer_members_than_needed_the_clearest_pair_is_not_told_from_chance_and_with_so_many_it_is():
    n = 60
    needed = members_needed(n, n, 0.7)
    assert needed == 22
    for k, chosen in ((needed - 1, 0), (needed, 1)):
        included = np.zeros((k, n), bool)
        included[: round(0.7 * k), 0] = True
        correct = np.zeros((k, n), bool)
        correct[:, 0] = included[:, 0]
        assert strong_pairs(included, correct, 0.15).chosen == chosen
    assert members_needed(1257, 540, 0.7) == 30


def test_a_pair_has_even_odds_at_the_members_that_are_named():
    rng, n, infl = np.random.default_rng(0), 30, 0.4
    k, hits = members_for(infl, n, n, 0.7), []
    for _ in range(200):
        included, correct = rng.random((k, n)) < 0.7, rng.random((k, n)) < 0.5
        correct[:, 0] = rng.random(k) < 0.5 + infl * (included[:, 0] - 0.7)
        pairs = strong_pairs(included, correct, 0.05).table
        hits.append(((pairs["train"] == 0) & (pairs["test"] == 0)).any())
    assert 0.35 < np.mean(hits) < 0.65


@pytest.mark.parametrize("k", [10, 40, 400, 4000])
def test_the_hypergeometric_tail(k):
    rng = np.random.default_rng(k)
    a, b = rng.integers(1, k, (2, 500))
    mean = a * b / k
    both = np.ceil(mean + rng.random(500) * (np.minimum(a, b) - mean + 1)).astype(int)
    expected = hypergeom.sf(both - 1, k, a, b)
    assert tail(both, k, a, b) == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_the_histogram_counts_every_pair_once():
    included, correct = drawn(300, 300, 70)
    edges, count = histogram(included, correct)
    assert count.sum() == 300 * 70
    expected, _ = np.histogram(by_definition(included, correct), edges)
    assert np.abs(np.cumsum(expected) - np.cumsum(count)).max() <= 0.002 * count.sum()
