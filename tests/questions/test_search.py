"""A search end to end, on real digits: entry point, registry, Optuna's storage, interruptions."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import optuna
import pytest
from optuna.trial import TrialState
from parts import ROOT
from studies import program, uri

from analysis.correlation import correlation
from entrypoints.search import search
from memreg import options
from memreg.registry import Registry
from memreg.search.storage import exclusively, open_storage, storage_url

SPACE = """
model: [vgg3-w8, vgg3-w16]
epochs: {low: 2, high: 24, log: true}
learning_rate: {low: 0.05, high: 0.4, log: true}
batch_size: 64
augmentation: 0
"""
TOLD = (TrialState.COMPLETE, TrialState.PRUNED)
SET = ("--dataset", "digits+subset=200", "--space", "space.yaml", "--members", "10")
FILL = (*SET, "--targets", "3", "--low", "0.7", "--high", "0.9", "--tolerance", "0.04", "--study", "found")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(directory, what it printed) of a search that has filled three targets."""
    directory = tmp_path_factory.mktemp("search")
    (directory / "space.yaml").write_text(SPACE)
    process = start(directory, *FILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return directory, out


@pytest.fixture
def there(done, monkeypatch, capsys):
    """A function that runs a command in that directory as a program and gives its output."""
    monkeypatch.chdir(done[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(done[0]))
    return lambda *words: program(monkeypatch, capsys, *words)


def start(directory, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "entrypoints.search", *words],
        cwd=directory,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri(directory), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials_in(directory, study="found"):
    return optuna.load_study(storage=open_storage(storage_url(uri(directory))), study_name=study).trials


def cell_runs(directory):
    client = mlflow.MlflowClient(uri(directory))
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run for run in found if run.data.tags["memreg.kind"] == "cell"]


def test_targets_are_filled_by_full_cells_and_shown(done):
    directory, out = done
    with contextlib.chdir(directory):
        cells = Registry(uri(directory)).cells("found")
        note = Registry(uri(directory)).study_run("found").data.tags["mlflow.note.content"]
    assert len(cells) == 3
    assert (cells["members"] == 10).all()
    assert (abs(cells["test_accuracy"] - [0.7, 0.8, 0.9]) <= 0.04).all()
    assert "3 of 3 targets filled" in out
    table = out[out.index("target ") :]
    for hash_, target in zip(cells["cell"], ("70.0%", "80.0%", "90.0%"), strict=True):
        shown = any(hash_[:8] in line and target in line for line in table.splitlines())
        assert shown == (target != "80.0%"), "of more than two the lowest and the highest"
        assert any(hash_[:8] in line and f"| {target} |" in line for line in note.splitlines())
    assert len([line for line in out[out.index("3 of 3 targets") :].splitlines() if line]) <= 10
    assert "viewStateShareKey=found" in out
    assert f"optuna-dashboard {storage_url(uri(directory))}" in out
    assert "\x1b" not in out


def test_trials_are_cells_linked_by_tags(done):
    directory, _ = done
    runs = {run.info.run_id: run for run in cell_runs(directory)}
    trials = trials_in(directory)
    assert {t.state for t in trials} <= set(TOLD)
    assert len(runs) == len(trials)
    targets = []
    for t in trials:
        run = runs[t.user_attrs["run_id"]]
        assert run.data.tags["memreg.trial"] == str(t.number)
        assert run.data.tags["memreg.cell"] == t.user_attrs["cell"]
        assert run.data.tags["memreg.status"] == "complete"
        assert run.info.status == "FINISHED"
        assert run.data.params["model"] == t.params["model"]
        assert float(run.data.params["learning_rate"]) == t.params["learning_rate"]
        assert run.data.metrics["members"] == t.user_attrs["members"]
        assert run.data.metrics["test_accuracy"] == pytest.approx(t.user_attrs["test_accuracy"])
        targets.append(run.data.tags["memreg.target"])
    assert sorted(set(targets)) == ["0.7", "0.8", "0.9", "none"]
    assert len(targets) - targets.count("none") == 3
    assert {t.user_attrs["members"] for t in trials} <= {2, 4, 8, 10}


def test_again_it_trains_nothing_and_hangs_all_cells_under_its_run(done, there):
    before = len(trials_in(done[0]))
    out = there(search, *FILL)
    assert "3 of 3 targets filled" in out
    assert len(trials_in(done[0])) == before
    newest = Registry(uri(done[0])).study_run("found").info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in cell_runs(done[0])} == {newest}


def test_the_correlation_of_what_was_found(there):
    assert "no r, which takes" in there(correlation, "--study", "found")


def test_another_search_of_that_name_is_refused(done, there, monkeypatch, capsys):
    count = len(cell_runs(done[0]))
    monkeypatch.setattr(sys, "argv", ["search", *FILL, "--members", "12", "--noise", "0.1"])
    with pytest.raises(SystemExit) as exit_:
        options.run(search)
    assert exit_.value.code == 2
    assert "is a search with another space and members" in capsys.readouterr().err
    assert len(cell_runs(done[0])) == count


def test_the_best_under_a_budget(there):
    out = there(search, *SET, "--mode", "optimize", "--budget", "10000", "--trials", "4", "--study", "best")
    assert "Best of 4 trials" in out
    cells = Registry().cells("best")
    assert cells["test_accuracy"].is_monotonic_decreasing
    assert set(cells["model"]) == {"vgg3-w8"}


def test_trials_that_diverge_are_told_as_failed_and_noise_is_part_of_a_recipe(there):
    space = SPACE.replace("{low: 0.05, high: 0.4, log: true}", "[0.2, 1.0e+9]")
    Path("wild.yaml").write_text(space)
    words = ["wild.yaml" if word == "space.yaml" else word for word in FILL]
    out = there(search, *words, "--study", "wild", "--noise", "0.3", "--trials", "4")
    states = [t.state for t in trials_in(Path.cwd(), "wild")]
    assert TrialState.FAIL in states
    assert "every member diverged" in out
    assert "Open: " in out or "3 of 3" in out
    names = {run.data.params["dataset"] for run in cell_runs(Path.cwd())}
    assert any("+noise=0." in name for name in names)


def test_killed_and_interrupted_it_goes_on_with_the_cells_it_has(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    words = [*FILL, "--members", "30"]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        process = start(tmp_path, *words)
        before = {p.stat().st_mtime for p in tmp_path.glob("mlruns/**/*.arrow")}
        while {p.stat().st_mtime for p in tmp_path.glob("mlruns/**/*.arrow")} <= before:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=600)
        assert process.returncode == code, err
    assert "run the same command again to go on" in err
    assert TrialState.RUNNING not in {t.state for t in trials_in(tmp_path)}
    assert "RUNNING" not in {run.info.status for run in cell_runs(tmp_path)}
    before = [t for t in trials_in(tmp_path) if t.state in TOLD]
    process = start(tmp_path, *words, "--trials", str(len(before) + 2))
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    hashes = [run.data.tags["memreg.cell"] for run in cell_runs(tmp_path)]
    assert len(set(hashes)) == len(hashes)
    trials = trials_in(tmp_path)
    assert {t.user_attrs["cell"] for t in trials if "cell" in t.user_attrs} == set(hashes)
    told = [t for t in trials if t.state in TOLD]
    assert len(told) == len(before) + 2
    interrupted = [t.params for t in trials if t.state == TrialState.FAIL]
    assert interrupted
    assert all(params in [t.params for t in told] for params in interrupted)


def test_postgresql_has_the_trials_in_a_schema_of_their_own(postgres):
    tracking = postgres.database("searched")
    mlflow.MlflowClient(tracking).search_experiments()
    storage = open_storage(storage_url(tracking))
    with exclusively(storage):
        optuna.create_study(storage=storage, study_name="s")
    mlflow.MlflowClient(tracking).search_experiments()
    again = open_storage(storage_url(tracking))
    assert optuna.get_all_study_names(again) == ["s"]
    for opened in (storage, again):
        opened.engine.dispose()
