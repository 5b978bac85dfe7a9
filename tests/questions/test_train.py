"""`memreg train`: what it says before it trains, and cells that are like others."""

import re

import pytest
from studies import bad_input, program, uri

from memreg.cli import memreg
from memreg.registry import Registry

SMALL = ("--epochs", "1", "--batch-size", "64", "--learning-rate", "0.2")


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    return lambda *arguments: program(monkeypatch, capsys, memreg, "train", *arguments)


def test_a_cell_like_another_has_its_data_set_and_recipe_but_for_what_is_given(train):
    base = ("--dataset", "digits+subset=100", "--model", "vgg3-w4", *SMALL, "--r", "0.8", "--members", "2")
    train(*base)
    (source,) = Registry().cells()["cell"]
    out = train("--like", source[:8], "--members", "4")
    assert "2 already in the registry, 2 to train" in out, "nothing else is given: the same cell grows"
    train("--like", source[:6], "--model", "vgg3-w8", "--members", "2")
    first, second = Registry().cells().to_dict("records")
    assert first["model"] != second["model"]
    same = ("dataset", "epochs", "batch_size", "learning_rate", "r", "design_seed", "weight_decay")
    assert [first[key] for key in same] == [second[key] for key in same]


def test_code_that_a_cell_like_another_would_have_is_named_again(train, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))\n"
    )
    train("--dataset", "digits+subset=100", "--model", "mine:net", *SMALL, "--members", "2")
    (source,) = Registry().cells()["cell"]
    like = ("--like", source[:8], "--members", "3")
    bad_input(monkeypatch, capsys, memreg, "train", *like, match="name it yourself, by model=mine:net")
    assert "1 to train" in train(*like, "--model", "mine:net")


def test_what_other_cells_of_the_study_have_and_this_one_has_by_default_is_said(train):
    small = ("--dataset", "digits+subset=100", *SMALL, "--members", "2", "--study", "mine")
    assert "by default" not in train("--model", "vgg3-w4", *small)
    assert "by default" not in train("--model", "vgg3-w8", *small)
    source = Registry().cells()["cell"][0]
    out = train("--dataset", "digits+subset=100", "--model", "vit-micro", "--members", "2", "--study", "mine")
    said = "have epochs=1, batch_size=64, learning_rate=0.2; this one has epochs=100, batch_size=512"
    assert said in out
    assert f"--like {source[:8]} takes theirs" in out


def test_how_many_networks_and_how_long_is_said_first_and_where_to_look_last(train, tmp_path):
    out = train("--dataset", "digits+subset=100", "--model", "vgg3-w4", *SMALL, "--members", "3")
    assert re.match(r"to train: 3 networks, about \d+ s in \d+ processes\n", out)
    *_, end = out.split("\n\n")
    links = dict(re.split(r": +", line, maxsplit=1) for line in end.splitlines())
    assert list(links) == ["report", "cells", "charts", "UI"]
    assert links["report"].endswith("artifacts/report.html")
    assert links["UI"].endswith("mlflow.db")
    assert "to train: " not in train("--like", Registry().cells()["cell"][0][:8], "--members", "3")


def test_a_batch_that_is_larger_than_what_a_member_sees_is_said(train):
    few = ("--dataset", "digits+subset=100", "--model", "vgg3-w4", "--epochs", "3", "--members", "2")
    said = "batch_size=512 is more than the 70 examples that a member sees: its 3 epochs are 1 steps"
    assert f"warning: {said}" in train(*few)
    assert "batch_size" not in train(*few, "--batch-size", "64")


def test_scores_by_another_estimator_are_printed(train, monkeypatch, capsys):
    train("--dataset", "digits+subset=100", "--model", "vgg3-w4", *SMALL, "--members", "20")
    cell = Registry().cells()["cell"][0][:8]
    words = ("scores", cell, "--estimator", "shrunk")
    bad_input(monkeypatch, capsys, memreg, *words, match="memreg memorization --cell")
    program(monkeypatch, capsys, memreg, "memorization", "--cell", cell, "--estimator", "shrunk")
    out = program(monkeypatch, capsys, memreg, *words, "--top", "3")
    best = Registry().scores(cell, "shrunk")["score"].max()
    assert f"{best:.3f}" in out
    assert len(out.strip().splitlines()) == 4
