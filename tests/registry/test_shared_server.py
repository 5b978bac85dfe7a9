"""A registry that a team shares: the same study on PostgreSQL, and over HTTP with a password."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from parts import ROOT
from servers import PASSWORD
from studies import TINY, program, same_bits, uri

from memreg.cli import memreg
from memreg.errors import MemregError
from memreg.exchange.archive import opened
from memreg.registry import Registry


@dataclass
class Team:
    """A tracking store, and a directory to work in."""

    directory: Path
    artifacts: Path
    environment: dict[str, str]

    def start(self, module, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, module, *arguments):
        """What a program prints that ends well."""
        process = self.start(module, *arguments)
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        assert PASSWORD not in out + err
        return out


@pytest.fixture(scope="module", params=["postgresql", "http"])
def team(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").database("team")
        yield Team(directory, directory / "mlruns", {"MLFLOW_TRACKING_URI": database})
        return
    server = request.getfixturevalue("mlflow_server")
    yield Team(directory, server.directory / "artifacts", server.environment)


@pytest.fixture(scope="module")
def registry(team):
    """Of a study that was killed in the middle, and started again."""
    first = team.start("entrypoints.corr_grid", "--grid", "tiny.yaml")
    while not list(team.artifacts.rglob("predictions/*.arrow")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert "[4/4]" in team.run("entrypoints.corr_grid", "--grid", "tiny.yaml")
    with pytest.MonkeyPatch.context() as patch:
        for key, value in team.environment.items():
            patch.setenv(key, value)
        yield Registry()


def test_it_ends_with_the_same_bits_as_undisturbed_on_sqlite(registry, done):
    local = Registry(uri(done[0]))
    cells, expected = registry.cells("tiny"), local.cells("tiny")
    same = ["cell", "members", "test_accuracy", "mean_score", "memorized_fraction/0.25"]
    pd.testing.assert_frame_equal(cells[same], expected[same], check_exact=True)
    assert registry.cells().shape[0] == 4
    for cell in expected["cell"]:
        same_bits(registry.predictions(cell), local.predictions(cell))
        assert registry.scores(cell).equals(local.scores(cell))
        assert registry.cell(cell).examples.equals(local.cell(cell).examples)
        assert registry.cell(cell).cell == local.cell(cell).cell


def test_queries_and_analyses(team, registry, monkeypatch, capsys):
    cell = registry.cells()["cell"][0]
    assert cell[:8] in program(monkeypatch, capsys, memreg, "cells", "--study", "tiny")
    assert len(program(monkeypatch, capsys, memreg, "scores", cell, "--csv").splitlines()) == 301
    assert "Among 4 cells of 20 members" in team.run("analysis.correlation", "--study", "tiny")
    assert "20 members" in team.run("analysis.memorization", "--cell", cell, "--estimator", "peers")
    assert "conditioned" in registry.scores(cell, estimator="peers")
    client = mlflow.MlflowClient()
    analyses = client.search_runs(
        [e.experiment_id for e in client.search_experiments()], "tags.`memreg.kind` = 'analysis'"
    )
    assert {run.info.status for run in analyses} == {"FINISHED"}


def test_import_and_export(registry, tmp_path, monkeypatch, capsys):
    cell = registry.cells()["cell"][2]
    program(monkeypatch, capsys, memreg, "export", cell, str(tmp_path / "x.npz"))
    named = ("--dataset", "digits", "--model", "theirs", "--study", "theirs")
    program(monkeypatch, capsys, memreg, "import", str(tmp_path / "x.npz"), *named)
    (theirs,) = registry.cells("theirs")["cell"]
    pd.testing.assert_frame_equal(registry.scores(theirs), registry.scores(cell))
    program(monkeypatch, capsys, memreg, "export", "tiny", str(tmp_path / "x.zip"))
    with opened(tmp_path / "x.zip") as archive:
        assert [item.cell.hash for item in archive.cells] == registry.cells("tiny")["cell"].tolist()
        assert all(len(item.wanted) == 20 for item in archive.cells)


def test_a_damaged_shard_is_refused_and_mended(team, registry):
    cell = registry.cells()["cell"][1]
    run_id = registry.cell(cell).run_id
    truth = registry.predictions(cell)
    shard = next(team.artifacts.rglob(f"{run_id}/artifacts/predictions/000000.arrow"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(MemregError, match="damaged prediction shard"):
        Registry().predictions(cell)
    assert "damaged prediction shard" in team.run("entrypoints.corr_grid", "--grid", "tiny.yaml")
    same_bits(Registry().predictions(cell), truth)
    assert shard.with_name("000000.arrow.damaged").is_file()


def test_scores_of_a_cell_that_has_grown_are_the_new_ones(team, registry):
    cell = registry.cells()["cell"][0]
    assert registry.scores(cell)["included_count"].max() < 20
    team.run("entrypoints.corr_grid", "--grid", "tiny.yaml", "--members", "30", "--study", "grown")
    assert registry.scores(cell)["included_count"].max() >= 20
    assert registry.predictions(cell).member.tolist() == list(range(30))


def test_a_missing_artifact_is_said_in_one_line(registry):
    with pytest.raises(MemregError, match=r"has no artifact nothing\.json: its cell is not complete") as info:
        registry.cell(registry.cells()["cell"][0]).artifacts.get("nothing.json")
    assert "\n" not in str(info.value)


def test_a_wrong_password_is_said_in_one_line_that_does_not_repeat_it(team, registry):
    address = team.environment["MLFLOW_TRACKING_URI"]
    wrong = re.sub(r"//(.*@)?", "//admin:wr0ng@", address)
    with pytest.raises(MemregError, match=r"//\*\*\*@.* does not answer") as info:
        Registry(wrong)
    assert "\n" not in str(info.value)
    assert "wr0ng" not in str(info.value)
