"""How examples' scores move along test accuracy, over simulated cells."""

import numpy as np
import pytest

from memreg.estimators.trajectories import moves, shapes, shares, trajectories
from memreg.show import figures


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


def test_where_nothing_moves_the_figure_says_so():
    rng = np.random.default_rng(10)
    scores = rng.normal(0.3, 0.1, (3, 14, 200))
    figure = figures.trajectories({"a": trajectories(np.linspace(0.7, 0.9, 14), scores)})
    (axes,) = figure.axes
    assert not axes.lines
    assert "No example is shown to move" in axes.texts[0].get_text()
