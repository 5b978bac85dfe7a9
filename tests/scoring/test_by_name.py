"""Scores closer to leave-one-out's, on members whose probabilities are known."""

import numpy as np
import pytest
from groups import group_numbers, members, truth
from parts import ROOT

from memreg.design import LeaveGroupOut, LeaveOneOut, Spread, Subsets
from memreg.estimators.coinfluence import (
    FALSE_PEERS,
    co_influence,
    detectable,
    find_peers,
    neighbours,
    peers_in_groups,
)
from memreg.estimators.counts import Counts, half, tally
from memreg.estimators.extrapolation import extrapolate
from memreg.estimators.peers import MINIMUM, peer_conditioned
from memreg.estimators.scores import scores
from memreg.registry import StoredCell
from memreg.scoring.by_name import ESTIMATORS

K = 1000


@pytest.fixture(scope="module")
def simulated():
    """(included, correct, second half, labels, group, size): 1,000 members at r = .7."""
    group, size = group_numbers()
    design = Subsets(r=0.7)
    included, correct = members(design, K, group, size)
    second = half(np.array([design.block(m) for m in range(K)])) == 1
    return included, correct, second, group % 4, group, size


def plain(included, correct):
    return scores(tally(included, correct, np.zeros(len(included), int)).total)


def known(group, n):
    return peers_in_groups([np.flatnonzero(group == g) for g in np.unique(group)], n)


def test_co_influence_is_a_difference_and_a_correlation(simulated):
    included, correct, *_ = simulated
    found = co_influence(included, correct, np.array([100, 107]), np.arange(len(included[0])))
    i, j = 107, 108
    out = ~included[:, i]
    x, y = included[out, j], correct[out, i]
    assert found.effect[1, j] == pytest.approx(y[x].mean() - y[~x].mean())
    assert found.evidence[1, j] == pytest.approx(np.corrcoef(x, y)[0, 1] * np.sqrt(out.sum()))
    assert found.evidence[1, i] == 0


def test_co_influence_of_strangers_is_standard_normal(simulated):
    included, correct, *_ = simulated
    z = co_influence(included, correct, np.arange(100), np.arange(100)).evidence
    z = z[~np.eye(100, dtype=bool)]
    assert z.mean() == pytest.approx(0, abs=0.05)
    assert z.std() == pytest.approx(1, abs=0.05)


def test_peers_are_found_and_few_others(simulated):
    included, correct, _, labels, group, size = simulated
    found = find_peers(included, correct, labels).toarray() > 0
    same = (group[:, None] == group) & ~np.eye(len(group), dtype=bool)
    assert found[same & (size[:, None] == 2)].all()
    assert found[same & (size[:, None] == 3)].mean() > 0.9
    assert (found & ~same).sum(1).mean() < 0.1
    groups = neighbours(find_peers(included, correct, labels))
    for g in np.unique(group[size == 2]):
        assert any(set(np.flatnonzero(group == g)) <= set(found) for found in groups)
    assert max(map(len, groups)) < 10


def test_effects_from_the_smallest_detectable_one_up_are_found():
    """One example that helps another, by more or less than that."""
    rng, n = np.random.default_rng(0), 50
    labels, found = np.zeros(n, int), {0.6: [], 1.0: [], 1.4: []}
    for _ in range(60):
        included = rng.random((300, n)) < 0.7
        p = np.full((300, n), 0.5)
        limit = detectable(included, rng.random((300, n)) < p, labels)[0]
        assert 0.3 < limit < 0.5
        for times, hits in found.items():
            p[:, 0] = 0.5 + times * limit * (included[:, 1] - 0.7)
            hits.append(find_peers(included, rng.random((300, n)) < p, labels).toarray()[0, 1] > 0)
    assert np.mean(found[0.6]) < 0.25 < np.mean(found[1.0]) < 0.75 < np.mean(found[1.4])


def test_classes_in_pieces_give_the_same_peers(simulated, monkeypatch):
    included, correct, _, labels, *_ = simulated
    whole = find_peers(included, correct, labels)
    monkeypatch.setattr("memreg.estimators.coinfluence.CHUNK", 17)
    assert np.allclose(whole.toarray(), find_peers(included, correct, labels).toarray())


def test_the_peer_conditioned_score_is_leave_one_outs_where_feldman_and_zhangs_is_not(simulated):
    included, correct, second, labels, _, size = simulated
    true = truth(size)
    peers = (
        find_peers(included[~second], correct[~second], labels),
        find_peers(included[second], correct[second], labels),
    )
    ours = peer_conditioned(included, correct, second, peers)
    error = {
        "theirs": plain(included, correct).score - true,
        "ours": scores(ours.counts).score - true,
    }
    for s in (2, 3):
        assert error["theirs"][size == s].mean() > 0.1
        assert abs(error["ours"][size == s].mean()) < 0.03
    assert np.abs(error["ours"]).mean() < 0.5 * np.abs(error["theirs"]).mean()
    assert (ours.peers[size == 2] >= 1).all()
    assert (ours.peers[:100] <= 1).mean() > 0.9


@pytest.mark.parametrize("k", [100, 200, 400])
def test_false_peers_are_as_rare_as_said_with_few_members_too(k):
    """Found in halves of the members, as scores use them."""
    group, size = group_numbers()
    same, false = group[:, None] == group, []
    for seed in range(4):
        included, correct = members(Subsets(r=0.7, seed=seed), k, group, size, seed)
        second = half(np.arange(k) // 10) == 1
        for rows in (second, ~second):
            found = find_peers(included[rows], correct[rows], group % 4).toarray() > 0
            false.append((found & ~same).sum(1).mean())
    assert np.mean(false) <= FALSE_PEERS


@pytest.mark.parametrize(
    ("k", "size", "bias"), [(200, 2, 0), (200, 3, 0.17), (1000, 3, 0), (400, 5, 0.1), (1000, 5, 0.07)]
)
def test_sub_populations_are_free_of_bias_from_the_members_on_that_are_named(k, size, bias):
    group, sizes = group_numbers()
    errors = []
    for seed in range(3):
        included, correct = members(Subsets(r=0.7, seed=seed), k, group, sizes, seed)
        second = half(np.arange(k) // 10) == 1
        peers = tuple(find_peers(included[r], correct[r], group % 4) for r in (~second, second))
        score = scores(peer_conditioned(included, correct, second, peers).counts).score
        errors.append((score - truth(sizes))[sizes == size].mean())
    assert np.mean(errors) == pytest.approx(bias, abs=0.035)


def test_peer_conditioned_intervals_cover(simulated):
    """Over sizes whose peers are found, several simulations."""
    group, size = group_numbers()
    true, covered = truth(size), []
    for seed in range(8):
        included, correct = members(Subsets(r=0.7, seed=seed), 400, group, size, seed)
        second = half(np.arange(400) // 10) == 1
        table = scores(peer_conditioned(included, correct, second, (known(group, len(group)),) * 2).counts)
        covered.append((table.low <= true) & (true <= table.high))
    assert 0.93 <= np.mean(covered) <= 0.99


def test_peers_are_never_judged_by_the_members_they_are_used_on():
    """With pure noise, peers picked on the very same members would bias the score; halves do not."""
    rng = np.random.default_rng(3)
    n, k = 300, 200
    design = Subsets(r=0.7)
    included = np.stack([design.included(m, n) for m in range(k)])
    correct = included | (rng.random((k, n)) < 0.5)
    second = half(np.arange(k) // 10) == 1
    labels = np.zeros(n, int)
    monkey = pytest.MonkeyPatch()
    monkey.setattr("memreg.estimators.coinfluence.FALSE_PEERS", 3.0)  # many false peers
    crossed = (
        find_peers(included[~second], correct[~second], labels),
        find_peers(included[second], correct[second], labels),
    )
    same = crossed[::-1]
    monkey.undo()
    honest = scores(peer_conditioned(included, correct, second, crossed).counts).score.mean()
    biased = scores(peer_conditioned(included, correct, second, same).counts).score.mean()
    assert honest == pytest.approx(0.5, abs=0.01)
    assert biased < 0.47


def test_too_few_members_fall_back_and_say_so():
    group, size = group_numbers(2)
    design = Subsets(r=0.7)
    included, correct = members(design, 80, group, size)
    second = half(np.arange(80) // 10) == 1
    found = peer_conditioned(included, correct, second, (known(group, len(group)),) * 2)
    five = size == 5
    assert found.fallback[five].all()
    assert (found.conditioned[five] < 4).all()
    assert (found.peers[five] == 4).all()
    assert not found.fallback[:100].any()
    assert (found.counts.excluded >= 2 * MINIMUM - 1).all()


def test_known_peers_by_hand():
    included = np.array([[0, 1, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0]] * 20, bool)
    correct = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0]] * 20, bool)
    second = np.arange(80) >= 40
    found = peer_conditioned(included, correct, second, (peers_in_groups([(0, 1)], 3),) * 2)
    assert found.counts.excluded.tolist() == [40, 20, 40]
    assert found.counts.excluded_correct[0] == 40
    assert found.counts.included[0] == 20
    assert found.conditioned.tolist() == [1, 0, 0]
    assert found.fallback.tolist() == [False, True, False]


def test_spread_folds_are_closer_to_leave_one_out_than_random_ones():
    group, size = group_numbers()
    true = truth(size)
    groups = tuple(tuple(np.flatnonzero(group == g).tolist()) for g in np.unique(group[size > 1]))
    error = {}
    for design in (Subsets(r=0.9), Spread(r=0.9, neighbours=groups)):
        included, correct = members(design, 1000, group, size)
        error[design.kind] = (plain(included, correct).score - true)[size > 1].mean()
    assert error["subsets"] > 0.02
    assert abs(error["spread"]) < 0.3 * error["subsets"]


def test_groups_of_targets_are_leave_one_out_if_neighbours_are_kept_apart_and_only_then():
    """A tenth of the networks; every target left out as often as by pure leave-one-out."""
    group, size = group_numbers()
    true, n = truth(size), len(group)
    groups = tuple(tuple(np.flatnonzero(group == g).tolist()) for g in np.unique(group[size > 1]))
    pure = LeaveOneOut(targets=tuple(range(n)))
    error = {}
    for name, design in (
        ("apart", LeaveGroupOut(targets=tuple(range(n)), groups=n // 10, neighbours=groups)),
        ("at random", LeaveGroupOut(targets=tuple(range(n)), groups=8)),
    ):
        included, correct = members(design, 100 * design.round, group, size)
        without = tally(included, correct, np.zeros(len(included), int)).total
        error[name] = 1 - without.excluded_accuracy - true
        assert (without.excluded == 100).all()
        assert design.round <= pure.round / 9
    assert abs(error["apart"][size > 1].mean()) < 0.01
    noise = np.sqrt(true * (1 - true) / 100)
    assert (np.abs(error["apart"]) <= 1.96 * noise + 0.005).mean() >= 0.93
    assert error["at random"][(size == 2) | (size == 3)].mean() > 0.02


def at(r, k, p, n, rng):
    """Counts of k members at r with Pr[correct, excluded] = p, [n]."""
    n1 = round(r * k)
    n0 = k - n1
    return Counts(
        *(np.full(n, n1), np.full(n, n1), np.full(n, n0), rng.binomial(n0, p, n)),
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_extrapolation_is_unbiased_and_its_intervals_cover(size):
    """Up to three of a kind the score is a polynomial of degree 2 in 1-r: exactly what is fitted."""
    rng = np.random.default_rng(size)
    skill, n = {1: [0.2], 2: [0.05, 0.7], 3: [0.05, 0.6, 0.9]}[size], 20_000
    rs = (0.5, 0.7, 0.9, 0.97)

    def p(r):
        return [skill[0], r * skill[-1] + (1 - r) * skill[0], 0][size - 1] or (
            r * r * skill[2] + 2 * r * (1 - r) * skill[1] + (1 - r) ** 2 * skill[0]
        )

    table = extrapolate(rs, [at(r, 600, p(r), n, rng) for r in rs])
    true = 1 - skill[-1]
    assert table.score.mean() == pytest.approx(true, abs=0.01)
    assert 0.93 <= ((table.low <= true) & (true <= table.high)).mean() <= 0.985
    assert table.standard_error.mean() == pytest.approx(table.score.std(), rel=0.2)


def test_extrapolation_has_no_score_where_one_is_missing():
    c = Counts(np.array([5, 5]), np.array([5, 5]), np.array([0, 5]), np.array([0, 3]))
    table = extrapolate([0.5, 0.7], [c, c])
    assert np.isnan(table.to_numpy()[0]).all()
    assert not np.isnan(table.to_numpy()[1]).any()


def test_every_place_that_lists_the_estimators_lists_all():
    texts = (
        (ROOT / "memreg" / "requests" / "memorization.py").read_text(),
        (ROOT / "docs" / "extend.md").read_text(),
        (ROOT / "docs" / "glossary.md").read_text(),
        StoredCell.scores.__doc__,
    )
    assert all(name in text or name == "leave_one_out" for text in texts for name in ESTIMATORS)
