"""The registry as it is asked from Python."""

import doctest

import numpy as np
import pandas as pd
import pytest
from parts import ROOT
from studies import TINY, run, tiny, uri

import memreg
from memreg.data.loading import load

CELLS = [
    {"dataset": "digits+subset=300"},
    {"dataset": "digits+subset=300", "augmentation": 0},
    {"dataset": "digits+subset=300+noise=0.2"},
    {"dataset": "digits+subset=300+noise=0.2", "augmentation": 0},
]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    directory = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        run(tiny(**{**TINY, "cells": CELLS}), directory, "digits")
    return directory


def test_the_page_says_what_happens(digits, monkeypatch):
    monkeypatch.chdir(digits)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    page = str(ROOT / "docs" / "notebook.md")
    failed, tried = doctest.testfile(page, module_relative=False, optionflags=options)
    assert tried > 10
    assert failed == 0


def test_top_examples_come_with_their_images(digits):
    cell = memreg.Registry(uri(digits)).cell(memreg.Registry(uri(digits)).cells("digits")["cell"][0])
    top = cell.top(5)
    assert top["score"].is_monotonic_decreasing
    assert top["score"][0] == cell.scores()["score"].max()
    images = load("digits+subset=300").train_images
    assert np.array_equal(cell.images(top["example"]), images[top["example"]])
    for wrong in ([300], [-1]):
        with pytest.raises(memreg.MemregError, match="0 to 299"):
            cell.images(wrong)
    with pytest.raises(memreg.MemregError, match="1 or more"):
        cell.top(0)


def test_images_of_all_training_examples_or_of_some(digits):
    registry = memreg.Registry(uri(digits))
    cell, images = registry.cells("digits")["cell"][2], load("digits+subset=300+noise=0.2").train_images
    assert np.array_equal(registry.images(cell), images)
    assert np.array_equal(registry.images(registry.cell(cell), [7, 2, 7]), images[[7, 2, 7]])
    assert registry.images(cell, []).shape == (0, 8, 8, 1)
    for wrong in ([True] * 300, [0.5]):
        with pytest.raises(memreg.MemregError, match="by index, as whole numbers"):
            registry.images(cell, wrong)
    with pytest.raises(memreg.MemregError, match="the cell's data set is"):
        registry.images(cell, dataset="digits")


def test_a_matrix_has_the_scores_of_each_cell(digits):
    registry = memreg.Registry(uri(digits))
    matrix = registry.score_matrix("digits", "digits+subset=300+noise=0.2")
    assert list(matrix) == registry.cells("digits")["cell"][2:].tolist()
    for hash_ in matrix:
        assert np.array_equal(matrix[hash_], registry.scores(hash_)["score"], equal_nan=True)
    with pytest.raises(memreg.MemregError, match=r"has no cell on mnist: it has digits\+subset=300"):
        registry.score_matrix("digits", "mnist")


def test_a_comparison_is_antisymmetric_and_refuses_other_data(digits):
    registry = memreg.Registry(uri(digits))
    first, second, other, _ = registry.cells("digits")["cell"]
    there, back = registry.compare(first, second), registry.compare(second, first)
    pd.testing.assert_series_equal(there["difference"], -back["difference"])
    pd.testing.assert_series_equal(there["low"], -back["high"], check_names=False)
    known = there.dropna()
    assert (known["low"] <= known["difference"]).all()
    assert (known["difference"] <= known["high"]).all()
    same = registry.compare(first, first)
    assert (same["difference"].dropna() == 0).all()
    with pytest.raises(memreg.MemregError, match="other data sets"):
        registry.compare(first, other)


def test_any_number_of_cells_are_one_frame(digits, tmp_path):
    registry = memreg.Registry(uri(digits))
    first, second, other, _ = registry.cells("digits")["cell"]
    frame = registry.compare([first, registry.cell(second)])
    assert frame.index.names == ["example", "label"]
    for key in ("score", "low", "high"):
        assert list(frame[key]) == [first, second]
        for hash_ in (first, second):
            assert np.array_equal(frame[key, hash_], registry.scores(hash_)[key], equal_nan=True)
    rows = frame.reset_index()
    assert np.array_equal(rows["label"], registry.scores(first)["label"])
    assert rows["example"].tolist() == list(range(300))
    frame.to_parquet(tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "frame.parquet"), frame)
    assert list(registry.compare(pd.Series([first]))["score"]) == [first]
    pair = registry.compare(first, second)
    assert np.array_equal(pair["score_b"], frame["score", second], equal_nan=True)
    for wrong, match in (
        (([first, second, other],), r"other data sets: digits\+subset=300 and digits\+subset=300\+noise=0.2"),
        ((first,), "give two cells"),
        (([first], second), "a list of cells alone"),
        (([],), "no cell"),
    ):
        with pytest.raises(memreg.MemregError, match=match):
            registry.compare(*wrong)


def test_the_correlation_is_that_of_the_command(digits):
    registry = memreg.Registry(uri(digits))
    whole = registry.correlation("digits", "mean_score")
    cells = registry.cells("digits")
    r = np.corrcoef(cells["mean_score"], cells["test_accuracy"])[0, 1]
    assert whole.result.pooled["mean_score"].r == pytest.approx(r)


def test_what_is_public_is_listed():
    assert dir(memreg) == ["MemregError", "Registry", "show"]
    assert all(callable(getattr(memreg, name)) for name in dir(memreg))
