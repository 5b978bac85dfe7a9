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


def test_the_correlation_is_that_of_the_command(digits):
    registry = memreg.Registry(uri(digits))
    whole = registry.correlation("digits", "mean_score")
    cells = registry.cells("digits")
    r = np.corrcoef(cells["mean_score"], cells["test_accuracy"])[0, 1]
    assert whole.result.pooled["mean_score"].r == pytest.approx(r)


def test_what_is_public_is_listed():
    assert dir(memreg) == ["MemregError", "Registry"]
