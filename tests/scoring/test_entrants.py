"""How often a proxy of traces is computed on the board."""

import numpy as np
import pytest

from memreg.estimators.leaderboard import Truth
from memreg.estimators.proxies import final_margin
from memreg.scoring import proxies
from memreg.scoring.entrants import Entrants
from memreg.testing import ProxySuite

OWN = """
def final_margin(traces):
    calls.append(len(traces))
    return -traces.mean(traces["margin"].astype(float)[:, -1])


calls = []
"""


@pytest.fixture
def traces():
    return ProxySuite().traces()


@pytest.fixture
def board(traces):
    """Of all examples but one that no member sees, at 1, 2 and 3 networks."""
    rng = np.random.default_rng(0)
    targets = np.flatnonzero(traces.included.any(0))
    t = len(targets)
    scores = rng.random(t)
    truth = Truth(scores, np.full(t, 0.1), np.stack([scores, scores]), np.arange(t), np.ones(t, np.int64))
    return Entrants([1, 2, 3], targets, truth)


def test_a_networks_own_is_computed_once_for_all_numbers_of_networks(traces, board, monkeypatch):
    calls = []

    def counted(own):
        calls.append(own.member.tolist())
        return final_margin(own)

    monkeypatch.setitem(proxies.BY_TRACES, "final_margin", counted)
    board.by_traces(["final_margin"], traces, [])
    assert calls == [[m] for m in traces.member]
    assert [entrant.networks for entrant in board.entrants] == board.numbers
    for entrant in board.entrants:
        for number, values in enumerate(entrant.values):
            first = number * entrant.networks
            own = traces.part(slice(first, first + entrant.networks))
            assert np.array_equal(values, final_margin(own)[board.targets], equal_nan=True)


def test_a_proxy_of_ones_own_is_given_all_networks_at_once(traces, board, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_margin.py").write_text(OWN)
    board.by_traces(["own_margin:final_margin"], traces, [])
    from own_margin import calls

    assert sorted(calls) == [1] * 6 + [2] * 3 + [3] * 2
    board.by_traces(["final_margin"], traces, [])
    n = len(board.numbers)
    for own, other in zip(board.entrants[:n], board.entrants[n:], strict=True):
        assert np.allclose(own.values, other.values, equal_nan=True)
