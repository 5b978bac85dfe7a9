"""memreg's own proxies by the suite that authors of others inherit, and proxies that it refuses."""

import inspect

import numpy as np
import pytest
from parts import needs

from memreg.errors import MemregError
from memreg.scoring.proxies import BY_TRACES, LIBRARY
from memreg.testing import ProxySuite

NOT_OF_DIFFICULTY = ("variability",)
BROKEN = """
import numpy as np


def sound(traces):
    return traces.mean(traces["loss"].astype(float).mean(1))


def turned(traces):
    return -sound(traces)


def first_member(traces):
    return traces["loss"][0].astype(float).mean(0)


def longer(traces):
    return np.append(sound(traces), 0)


def by_position(traces):
    return sound(traces) + np.arange(traces.included.shape[1])[::-1]


def of_all_members(traces):
    return traces["loss"].astype(float).mean((0, 1))


def infinite(traces):
    return np.where(np.isnan(sound(traces)), np.inf, sound(traces))


def in_place(traces):
    traces["loss"].sort(axis=1)
    return sound(traces)


def of_an_observer(traces):
    return traces.mean(traces["depth"].astype(float).mean(1))
"""
TESTS = [name for name, _ in inspect.getmembers(ProxySuite, inspect.isfunction) if name.startswith("test_")]


@pytest.mark.parametrize("proxy", BY_TRACES)
class TestProxies(ProxySuite):
    @pytest.fixture(autouse=True)
    def _named(self, proxy):
        if proxy in LIBRARY:
            needs(LIBRARY[proxy])
        self.name, self.ranks_the_unlearned = proxy, proxy not in NOT_OF_DIFFICULTY

    def test_it_is_the_mean_of_what_each_member_alone_says(self):
        traces = self.traces()
        each = np.stack([self.values(traces.part(slice(m, m + 1))) for m in range(len(traces))])
        assert np.array_equal(self.values(traces), traces.mean(each), equal_nan=True)


def failed(name, **attributes):
    """The tests of the suite that this proxy does not pass."""
    suite = type("Suite", (ProxySuite,), {"name": name, **attributes})()
    found = set()
    for test in TESTS:
        try:
            getattr(suite, test)()
        except (AssertionError, MemregError):
            found.add(test)
    return found


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_proxies.py").write_text(BROKEN)
    return "broken_proxies"


@pytest.mark.parametrize(
    ("function", "tests"),
    [
        ("turned", {"test_what_is_never_learned_ranks_above_what_is_right_from_the_start"}),
        ("first_member", {"test_the_order_of_members_does_not_matter"}),
        ("longer", set(TESTS)),
        ("by_position", {"test_the_order_of_examples_is_that_of_the_values"}),
        (
            "of_all_members",
            {"test_a_member_that_diverged_takes_no_number_from_examples_that_others_saw"},
        ),
        ("infinite", set(TESTS)),
        ("in_place", set(TESTS)),
    ],
)
def test_what_is_wrong_with_a_proxy_fails_a_test(broken, function, tests):
    assert failed(f"{broken}:{function}") == tests


def test_a_sound_proxy_of_ones_own_passes(broken):
    assert failed(f"{broken}:sound") == set()
    assert failed(f"{broken}:of_an_observer", observed=("depth",)) == set()
    assert failed(f"{broken}:of_an_observer") == set(TESTS)


def test_variability_is_not_of_difficulty():
    (test,) = failed("variability")
    assert "never_learned" in test
