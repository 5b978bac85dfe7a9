"""Groups of examples that networks see alike."""

import itertools

import numpy as np
import pytest

from memreg.estimators import similar
from memreg.estimators.similar import similar_groups

SIZES = (2, 2, 3, 3, 5, 8)


def seen(networks=3, width=16, noise=0.2, seed=0):
    """Features of 60 examples of two classes, labels, and sub-populations: the first 23 are of those of
    SIZES, whose features are near each other."""
    rng = np.random.default_rng(seed)
    group = np.concatenate([np.repeat(np.arange(len(SIZES)), SIZES), np.arange(6, 6 + 60 - sum(SIZES))])
    labels = np.where(group < len(SIZES), group % 2, group // 2 % 2)
    centre = rng.standard_normal((networks, group.max() + 1, width))
    features = centre[:, group] + noise * rng.standard_normal((networks, 60, width))
    features += 5 * rng.standard_normal((networks, 2, width))[:, labels]
    return features.astype(np.float32), labels, group


def by_hand(features, labels, among, most):
    """All pairs of a class, from the most similar on."""
    similarity = np.zeros((len(labels), len(labels)))
    for own in features.astype(float):
        centred = own - np.stack([own[labels == label].mean(0) for label in labels])
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        similarity += unit @ unit.T / len(features)
    pairs = [(a, b) for a, b in itertools.combinations(sorted(among), 2) if labels[a] == labels[b]]
    groups = {i: {i} for i in among}
    for a, b in sorted(pairs, key=lambda pair: -similarity[pair]):
        if groups[a] is not groups[b] and len(groups[a] | groups[b]) <= most:
            both = groups[a] | groups[b]
            groups.update(dict.fromkeys(both, both))
    return {tuple(sorted(own)) for own in groups.values() if len(own) > 1}


@pytest.mark.parametrize("most", [2, 3, 5, 10])
@pytest.mark.parametrize("among", [range(60), range(0, 60, 3)])
def test_groups_are_those_of_all_pairs_from_the_most_similar_on(among, most, monkeypatch):
    features, labels, _ = seen(noise=1.0)
    monkeypatch.setattr(similar, "NEAREST", 60)
    monkeypatch.setattr(similar, "CHUNK", 7)
    found = similar_groups(features, labels, among, most)
    assert set(found) == by_hand(features, labels, among, most)
    assert list(found) == sorted(found)


def test_companions_are_together_as_far_as_the_bound_lets_them():
    features, labels, group = seen()
    found = {example: own for own in similar_groups(features, labels, range(60), 5) for example in own}
    for number, size in enumerate(SIZES):
        companions = np.flatnonzero(group == number).tolist()
        together = {found[example] for example in companions}
        assert (len(together) == 1) == (size <= 5)
    assert max(map(len, found.values())) <= 5


def test_groups_are_of_one_label_and_of_those_that_are_asked_for():
    features, labels, _ = seen()
    found = similar_groups(features, labels, range(10, 50), 4)
    assert all(len({labels[i] for i in own}) == 1 for own in found)
    assert {i for own in found for i in own} <= set(range(10, 50))


def test_examples_that_are_alone_in_their_class_or_seen_as_nothing_are_no_hindrance():
    features, labels, _ = seen()
    labels = labels.copy()
    labels[59], features[:, 58] = 7, 0
    found = similar_groups(features, labels, [0, 1, 58, 59], 4)
    assert 59 not in {i for own in found for i in own}
    assert similar_groups(features, labels, [59], 4) == ()
