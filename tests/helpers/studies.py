"""A study small enough for tests: four cells of real digits, trained for a few seconds."""

import re
import signal
import sys
from pathlib import Path

import mlflow
import pytest

from memreg import options
from memreg.engines import Engine, Resources, engine
from memreg.grid import Grid, parse_grid
from memreg.members import COLUMNS, Members
from memreg.questions import corr_grid
from memreg.show.terminal import Reporter
from memreg.studies.study import Outcome, Where
from memreg.tracing import Tracing

TINY = {
    "name": "tiny",
    "description": "Four cells.",
    "members": 20,
    "defaults": {"epochs": 2, "batch_size": 128, "learning_rate": 0.2, "model": "vgg3-w8"},
    "cells": [
        {"dataset": "digits+subset=300"},
        {"dataset": "digits+subset=300", "augmentation": 0},
        {"dataset": "digits+subset=300", "epochs": 4},
        {"dataset": "digits+subset=300+noise=0.2", "augmentation": 0},
    ],
}


PLANTED = "digits+subset=200+planted=1"
PLANTED_RECIPE = {"epochs": 12, "batch_size": 64, "augmentation": 0, "learning_rate": 0.2, "model": "vgg3-w8"}


def tiny(**changes) -> Grid:
    return parse_grid({**TINY, **changes}, "tiny")


def uri(directory: Path) -> str:
    return f"sqlite:///{directory}/mlflow.db"


def run(
    grid: Grid,
    directory: Path,
    study: str = "tiny",
    workers: int = 2,
    on: Engine | None = None,
    tracing: Tracing | None = None,
) -> Outcome:
    """Run in this process, with the registry in `directory` (which must be the working directory, since
    MLflow puts artifacts there)."""
    assert Path.cwd() == directory
    resources = Resources(workers=workers)
    where = Where(on or engine("local", resources), tracking_uri=uri(directory), tracing=tracing)
    with Reporter() as reporter:
        return corr_grid.run_grid(grid, study, where, reporter)


def same_bits(a: Members, b: Members) -> None:
    for name in COLUMNS:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes(), name


def program(monkeypatch, capsys, command, *arguments):
    """What a command prints, run in this process as a program."""
    status, out, err = _run(monkeypatch, capsys, command, arguments)
    assert status == 0, err
    return out


def bad_input(monkeypatch, capsys, command, *arguments, match=""):
    """The one line that a command ends with on bad input; `match` is in it."""
    status, _, err = _run(monkeypatch, capsys, command, arguments)
    assert status == 2, err
    assert err.count("\n") == 1, err
    assert match in err
    return err


def refused(planted, monkeypatch, capsys, command, words, message):
    """A command, with CELL for the planted cell, answers with one line, exit status 2 and no new run."""
    directory, cell = planted
    client = mlflow.MlflowClient(uri(directory))
    ids = [e.experiment_id for e in client.search_experiments()]
    before = len(client.search_runs(ids))
    err = bad_input(monkeypatch, capsys, command, *[word.replace("CELL", cell) for word in words])
    assert re.search(message, err), err
    assert len(client.search_runs(ids)) == before


def _run(monkeypatch, capsys, command, arguments):
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        options.run(command)
    for number, handler in before.items():
        signal.signal(number, handler)
    return exit_.value.code, *capsys.readouterr()
