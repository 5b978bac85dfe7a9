"""Margins keep the tails that probabilities in float16 lose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memreg import margins
from memreg.data import load
from memreg.members import Members, Prediction
from memreg.recipe import Recipe
from memreg.registry.shards import read_shard, write_shard
from memreg.training import train_member

FLOATS = st.floats(-1e5, 1e5, width=32)


def one(member, **sure):
    return Prediction(
        member, 0, np.ones(2, bool), np.zeros(3, np.uint8), np.full(3, 0.5, np.float16), 1.0, **sure
    )


@settings(max_examples=500, deadline=None)
@given(arrays(np.float64, 20, elements=FLOATS))
def test_a_stored_margin_is_within_1_part_in_512(values):
    kept = margins.stored(values).astype(float)
    held = np.clip(values, -margins.MOST, margins.MOST)
    assert np.isfinite(kept).all()
    assert (abs(kept - held) <= abs(held) / 511.99 + 2**-22).all()
    assert np.array_equal(margins.stored(kept).astype(float), kept)


def test_what_is_no_number_stays_none():
    kept = margins.stored(np.array([np.nan, np.inf, -np.inf]))
    assert np.isnan(kept[0])
    assert kept[1] == -kept[2] == pytest.approx(margins.MOST, rel=0.01)


@given(arrays(np.float16, 20, elements=st.floats(-20, 20, width=16)))
def test_a_probability_is_that_of_its_margin(margin):
    p = 1 / (1 + np.exp(-margin.astype(float)))
    assert np.allclose(margins.probability(margin), p, rtol=2**-10, atol=2**-20)


def test_log_odds_of_12_and_9_are_told_apart_by_schema_2_alone(tmp_path):
    """Both have a probability of 1 in float16."""
    odds = margins.stored(np.array([12.0, 9.0, 0.0]))
    old = {"p_label": margins.probability(odds)}
    for name, sure in (("new", {"margin": odds}), ("old", old)):
        write_shard(tmp_path / name, Members.of([one(0, **sure)]), "c" * 64, "d" * 64)
    new, before = (read_shard(tmp_path / name) for name in ("new", "old"))
    assert new.margin[0].tolist() == [12, 9, 0]
    assert before.margin[0, 0] == before.margin[0, 1] < 8.4
    assert new.exact.all()
    assert not before.exact.any()
    assert new.p_label.tobytes() == before.p_label.tobytes()


def test_members_with_and_without_margins_come_together():
    odds = margins.stored(np.array([12.0, -3.0, 1.0]))
    p = np.array([0.25, 1, 0], np.float16)
    both = Members.of([one(1, p_label=p), one(0, margin=odds)])
    assert both.exact.tolist() == [True, False]
    assert both.margin[0].tobytes() == odds.tobytes()
    assert both.p_label[1].tobytes() == p.tobytes()
    assert np.isfinite(both.margin).all()
    again = list(both.one_by_one())
    assert (again[0].p_label, again[1].margin) == (None, None)
    assert again[1].p_label.tobytes() == p.tobytes()


def test_a_members_margins_are_its_logits_log_odds(monkeypatch):
    from memreg import training

    logits = []
    real = training._logits
    monkeypatch.setattr(training, "_logits", lambda *args: logits.append(real(*args)) or logits[-1])
    dataset = load("digits+subset=200")
    recipe = Recipe(model="vgg3-w4", epochs=20, batch_size=64)
    made = train_member(recipe, dataset, np.ones(dataset.n_train, bool), 0)
    z = np.concatenate([part.double().cpu().numpy() for part in logits])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    own = z[np.arange(len(z)), labels]
    z[np.arange(len(z)), labels] = -np.inf
    assert np.allclose(made.margin, own - np.log(np.exp(z).sum(1)), rtol=1 / 256, atol=1e-3)
