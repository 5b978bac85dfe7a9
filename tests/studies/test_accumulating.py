"""A study holds every cell that was ever asked for under its name, in one run."""

import os
import subprocess
import sys

import mlflow
import pytest
from studies import bad_input, program, run, tiny, uri

from memreg.cli import memreg
from memreg.engines import Resources, engine
from memreg.errors import IncompleteStudyWarning
from memreg.registry import Registry, Store
from memreg.registry.holding import merged_commands
from memreg.registry.leases import driven
from memreg.studies.progress import Silent
from memreg.studies.study import Where, open_study

CELL = ("--model", "vgg3-w8", "--epochs", "1", "--members", "4", "--study", "mine")


def study_runs(directory):
    client = mlflow.MlflowClient(uri(directory))
    experiments = [e.experiment_id for e in client.search_experiments()]
    return client.search_runs(experiments, "tags.`memreg.study` = 'mine' and tags.`memreg.kind` != 'cell'")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    return tmp_path


def test_cells_that_are_trained_one_by_one_become_one_study(here, monkeypatch, capsys):
    for n in (100, 120, 140, 160):
        program(monkeypatch, capsys, memreg, "train", "--dataset", f"digits+subset={n}", *CELL)
    registry = Registry()
    names = [f"digits+subset={n}" for n in (100, 120, 140, 160)]
    assert registry.cells("mine")["dataset"].tolist() == names
    (study,) = study_runs(here)
    assert study.info.status == "FINISHED"
    assert study.data.metrics["pearson/mean_score"] == study.data.metrics["pearson/mean_score"]

    out = program(monkeypatch, capsys, memreg, "train", "--dataset", names[1], *CELL)
    assert "0 to train" in out
    assert registry.cells("mine")["dataset"].tolist() == names

    second = registry.cells("mine")["cell"][1]
    out = program(monkeypatch, capsys, memreg, "remove", second[:8], "--study", "mine")
    assert Registry().cells("mine")["dataset"].tolist() == [names[0], *names[2:]]
    assert len(study_runs(here)) == 1
    assert second in registry.cells()["cell"].tolist()
    bad_input(monkeypatch, capsys, memreg, "remove", second[:8], "--study", "mine", match="does not hold")
    (study,) = study_runs(here)
    r = study.data.metrics.get("pearson/mean_score", float("nan"))
    assert r != r  # three cells are too few for an r: that of four does not stay

    first = registry.cells("mine")["cell"][0]
    bad_input(monkeypatch, capsys, memreg, "remove", first[:8], "--study", "mine", match="too few")
    assert len(Registry().cells("mine")) == 3


def test_a_cell_that_has_more_members_than_are_asked_for_says_so(here, monkeypatch, capsys):
    program(monkeypatch, capsys, memreg, "train", "--dataset", "digits+subset=100", *CELL)
    out = program(
        monkeypatch, capsys, memreg, "train", "--dataset", "digits+subset=100", *CELL, "--members", "2"
    )
    assert "has 4 members, and 2 are asked for: its scores are from all it has" in out
    assert Registry().cells("mine")["members"].tolist() == [4]


def test_a_run_that_mlflow_opened_for_a_study_there_is_hangs_under_it(here, monkeypatch):
    first = run(tiny(), here, "mine")
    client = mlflow.MlflowClient()
    outer = client.create_run(first.experiment_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", outer.info.run_id)
    again = run(tiny(), here, "mine")
    assert again.run_id == first.run_id
    tags = client.get_run(outer.info.run_id).data.tags
    assert (tags["memreg.kind"], tags["mlflow.parentRunId"]) == ("command", first.run_id)
    assert {r.info.status for r in study_runs(here)} == {"FINISHED"}


def test_a_driver_beside_another_adds_to_the_same_study(here):
    first = run(tiny(), here, "mine")
    store = Store()
    with store.open_study("mine", {}) as (study, own, _):
        assert own is study
        assert driven(store.client.get_run(study.run_id))
        grown = run(tiny(cells=[{"dataset": "digits+subset=250"}]), here, "mine")
        assert grown.run_id == first.run_id
        assert store.client.get_run(study.run_id).info.status == "RUNNING"
    assert len(Registry().cells("mine")) == 5
    assert sorted(r.data.tags["memreg.kind"] for r in study_runs(here)) == ["command", "study"]


def test_an_interrupted_study_answers_with_what_is_complete_and_counts_the_rest(here):
    code = """
import sys
from studies import tiny
from memreg.engines import Resources, engine
from memreg.grid import Grid
from memreg.questions.corr_grid import run_grid
from memreg.show.terminal import Reporter
from memreg.studies.study import Where

class Stops(Reporter):
    def finish(self, cell, metrics):
        raise KeyboardInterrupt

run_grid(tiny(name="mine"), "mine", Where(engine("local", Resources())), Stops())
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode != 0
    with pytest.warns(IncompleteStudyWarning, match="of its 4 cells have not all"):
        cells = Registry().cells("mine")
    assert 1 <= len(cells) < 4
    assert cells["members"].notna().all()


def test_a_study_without_a_complete_cell_answers_with_none_and_says_so(here):
    store = Store()
    run_id = store.client.create_run(store.experiment_id, tags={"memreg.kind": "cell"}).info.run_id
    with store.open_study("mine", {}) as (study, _, _):
        store.hold(run_id, study, "mine", 0)
    with pytest.warns(IncompleteStudyWarning, match="1 of its 1 cells"):
        assert Registry().cells("mine").empty


def test_a_cell_that_takes_the_place_of_the_only_one_is_the_only_one(here):
    first = run(tiny(cells=[{"dataset": "digits+subset=100"}], members=2), here, "mine").cells["run_id"][0]
    with open_study(tiny(), [], "mine", Where(engine("local", Resources())), Silent()) as kept:
        other = kept.registry._client.create_run(kept.run.experiment_id, tags={"memreg.kind": "cell"})
        kept.hold([other.info.run_id])
        kept.let_go([first])
        kept.arrange([other.info.run_id])
        assert kept.registry.held("mine") == [other.info.run_id]


def test_the_commands_of_a_study_are_kept_once_each_and_counted_where_they_are_too_many():
    commands = ""
    for i in (0, 1, 0):
        commands = merged_commands(commands, f"memreg train --members {i}")
    assert commands == "memreg train --members 1\nmemreg train --members 0"
    for i in range(1000):
        commands = merged_commands(commands, f"memreg train --members {i:04d}")
    assert len(commands) < 5000
    lines = commands.splitlines()
    assert lines[-1].endswith("0999")
    assert lines[0] == f"# and {1002 - (len(lines) - 1)} earlier commands"
