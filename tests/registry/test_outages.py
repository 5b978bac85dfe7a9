"""What fails around memreg is one line and exit status 2; a mistake of memreg's own stays a traceback."""

import contextlib
import importlib
import sqlite3
import sys

import click
import optuna
import pytest
import sqlalchemy as sa
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState
from servers import free_port
from studies import TINY, uri

from entrypoints.corr_grid import corr_grid
from entrypoints.search import search
from memreg import cli as memreg_cli
from memreg import options
from memreg.errors import OutageError
from memreg.files import write_atomically
from memreg.registry import connection
from memreg.registry.connection import outage
from memreg.search.storage import open_storage, storage_url
from memreg.show.terminal import Reporter
from memreg.studies import cell_training

COMMANDS = {
    "entrypoints.corr_grid": ["--grid", "smoke"],
    "entrypoints.train": ["--dataset", "digits+subset=200", "--model", "vgg3-w8"],
    "entrypoints.leave_one_out": ["--cell", "digits+subset=200/vgg3-w8", "--targets", "random:5"],
    "entrypoints.marginal_utility": ["--cell", "abc"],
    "entrypoints.search": ["--dataset", "digits+subset=200", "--low", "0.8", "--high", "0.9"],
    "analysis.correlation": ["--study", "digits"],
    "analysis.memorization": ["--cell", "abc"],
    "analysis.influence": ["--cell", "abc"],
    "analysis.approximation_error": ["--subset-cell", "abc", "--loo-cell", "def"],
    "memreg cells": [],
    "memreg scores": ["abc"],
    "memreg db init": [],
    "memreg db tune": [],
}

GRID = ["--grid", "tiny.yaml", "--workers", "2"]
SPACE = "{model: [vgg3-w8], epochs: {low: 2, high: 4}, learning_rate: 0.2, batch_size: 64, augmentation: 0}"
SEARCH = [
    *("--dataset", "digits+subset=200", "--space", "space.yaml", "--mode", "optimize", "--study", "s"),
    *("--members", "10", "--trials", "1", "--workers", "2"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    directory = tmp_path_factory.mktemp("database")
    connection.connect(uri(directory), create=True)
    return directory


@contextlib.contextmanager
def locked(database):
    held = sqlite3.connect(database, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        held.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_locked_database_is_one_line(name, database, monkeypatch, capsys):
    program, *words = name.split()
    module = memreg_cli if program == "memreg" else importlib.import_module(program)
    command = next(value for value in vars(module).values() if isinstance(value, click.Command))
    monkeypatch.chdir(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(database))
    monkeypatch.setattr(connection, "PATIENCE", 0.1)
    monkeypatch.setattr(sys, "argv", ["program", *words, *COMMANDS[name]])
    with locked(database / "mlflow.db"), pytest.raises(SystemExit) as exit_:
        options.run(command)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert exit_.value.code == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("memreg: error: ")
    assert "database is locked" in lines[0]
    assert [path.name for path in database.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(("command", "words"), [(corr_grid, GRID), (search, SEARCH)])
def test_a_database_that_breaks_in_the_middle_is_one_line_and_what_is_stored_stays(
    command, words, tmp_path, monkeypatch, capsys
):
    """It loses a table while members are trained; put back, the same command goes on."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "cells": TINY["cells"][:1]}))
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    monkeypatch.setattr(cell_training, "FLUSH_MEMBERS", 5)
    monkeypatch.setattr(sys, "argv", ["program", *words])
    database, advance, advanced = sa.create_engine(uri(tmp_path)), Reporter.advance, []

    def rename(old, new):
        with database.begin() as opened:
            opened.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    def breaking(self, cell):
        advance(self, cell)
        advanced.append(cell)
        if len(advanced) == 7:
            rename("metrics", "gone")

    monkeypatch.setattr(Reporter, "advance", breaking)
    with pytest.raises(SystemExit) as exit_:
        options.run(command)
    lines = capsys.readouterr().err.strip().splitlines()
    assert exit_.value.code == 2
    assert len(lines) == 1, lines
    assert "no such table: metrics; what is stored is kept; run the same command again to go on" in lines[0]
    kept = {path: path.read_bytes() for path in tmp_path.rglob("predictions/*.arrow")}
    assert kept
    rename("gone", "metrics")
    database.dispose()
    with pytest.raises(SystemExit) as exit_:
        options.run(command)
    assert exit_.value.code == 0, capsys.readouterr().err
    assert {path: path.read_bytes() for path in kept} == kept
    if command is search:
        trials = optuna.load_study(storage=open_storage(storage_url()), study_name="s").trials
        assert [t.state for t in trials] == [TrialState.FAIL, TrialState.COMPLETE]
        assert trials[0].params == trials[1].params
        assert trials[0].user_attrs["run_id"] == trials[1].user_attrs["run_id"]
        assert "error" not in trials[0].user_attrs


def raised(function, *arguments):
    with pytest.raises((MlflowException, OSError)) as error:
        function(*arguments)
    return error.value


def test_a_server_that_is_gone_is_an_outage_and_a_run_that_is_not_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port()}"
    why = outage(raised(MlflowClient(address).get_run, "abc"))
    assert isinstance(why, OutageError)
    assert address in str(why)
    assert "Caused by" not in str(why)
    missing = raised(connection.connect(uri(tmp_path), create=True).get_run, "abc")
    assert isinstance(missing, MlflowException)
    assert outage(missing) is None


def test_a_full_disk_is_an_outage_that_names_the_file(tmp_path):
    def write(path):
        path.symlink_to("/dev/full")
        path.write_text("x" * 100_000)

    error = raised(write_atomically, tmp_path / "shard", write)
    assert f"No space left on device: '{tmp_path}/shard'" in str(outage(error))
    assert not list(tmp_path.iterdir())


def test_a_mistake_is_no_outage():
    assert outage(ValueError("x")) is None
    assert outage(FileNotFoundError(2, "No such file or directory", "x")) is None
