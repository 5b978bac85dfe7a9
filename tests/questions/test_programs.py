"""Entry points that train nothing, and commands, as people run them on a finished study."""

import os
import subprocess
import sys

import mlflow
import pandas as pd
from parts import ROOT
from sklearn.metrics import roc_auc_score
from studies import program, run, tiny, uri

from analysis.correlation import correlation
from analysis.memorization import memorization
from memreg.cli import memreg
from memreg.registry import Registry


def test_correlation_of_several_studies_together(done):
    directory, outcome = done
    env = os.environ | {"MLFLOW_TRACKING_URI": uri(directory), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "analysis.correlation", "--study", f"tiny,{outcome.run_id}"]
    program = subprocess.run(
        [*command, "--statistic", "memorized_fraction/0.50"],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    assert "over 4 cells of 20 members" in program.stdout
    client = mlflow.MlflowClient(uri(directory))
    (run_,) = client.search_runs([outcome.experiment_id], "tags.`memreg.kind` = 'analysis'")
    assert {"pearson/memorized_fraction_0.50", "pearson/mean_score"} <= run_.data.metrics.keys()
    assert "Identity" in run_.data.tags["mlflow.note.content"]
    figures = {f.path for f in client.list_artifacts(run_.info.run_id, "figures")}
    assert {f"figures/{name}.png" for name in ("correlation", "thresholds", "identity")} <= figures
    client.delete_run(run_.info.run_id)


def test_analyses_recompute_from_the_registry_alone(done, monkeypatch, capsys):
    directory, outcome = done
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    out = program(monkeypatch, capsys, correlation, "--study", "tiny")
    assert "over 4 cells" in out
    cell = outcome.cells["cell"][0]
    out = program(monkeypatch, capsys, memorization, "--cell", cell[:10])
    assert "20 members" in out
    client = mlflow.MlflowClient(uri(directory))
    (study,) = {client.get_run(outcome.run_id).info.experiment_id}
    analyses = client.search_runs([study], "tags.`memreg.kind` = 'analysis'")
    assert {a.info.status for a in analyses} == {"FINISHED"}
    by_name = {a.info.run_name.split()[0]: a for a in analyses}
    again = client.download_artifacts(by_name["memorization"].info.run_id, "scores.parquet")
    assert pd.read_parquet(again).equals(Registry(uri(directory)).scores(cell))
    files = {f.path for f in client.list_artifacts(by_name["correlation"].info.run_id)}
    assert {"correlation.json", "figures"} <= files


def test_the_command_line_lists_cells_and_scores(done, monkeypatch, capsys):
    directory, outcome = done
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    hash_ = outcome.cells["cell"][0]
    out = program(monkeypatch, capsys, memreg, "cells", "--study", "tiny")
    assert hash_[:8] in out
    assert "\x1b" not in out
    assert len(program(monkeypatch, capsys, memreg, "cells", "--csv").splitlines()) == 5
    assert len(program(monkeypatch, capsys, memreg, "scores", hash_, "--top", "5").splitlines()) == 6
    assert len(program(monkeypatch, capsys, memreg, "scores", hash_, "--csv").splitlines()) == 301


def test_cells_that_only_serve_an_analysis_are_counted_and_listed_when_asked_for(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    cells = [{"dataset": "digits+subset=100"}, {"dataset": "digits+subset=100", "epochs": 1}]
    grown = run(tiny(members=2, cells=cells), tmp_path, "tiny")
    chosen, reject = grown.cells["cell"]
    mlflow.MlflowClient().set_tag(grown.cells["run_id"][1], "memreg.target", "none")
    listed = program(monkeypatch, capsys, memreg, "cells")
    assert chosen[:8] in listed
    assert reject[:8] not in listed
    assert "1 more cells" in listed
    assert reject[:8] in program(monkeypatch, capsys, memreg, "cells", "--all")
    assert reject[:8] in program(monkeypatch, capsys, memreg, "cells", "--study", "tiny")


def test_a_plan_counts_members_images_and_storage(monkeypatch, capsys):
    out = program(monkeypatch, capsys, memreg, "plan", "--grid", "smoke", "--throughput", "10")
    assert "4 cells, 40 members" in out
    assert "237 k images" in out
    assert "at 10 times its throughput" in out


def test_scores_find_planted_labels(tmp_path, monkeypatch):
    """Flipped labels can only be memorized: their scores stand above those of clean labels."""
    monkeypatch.chdir(tmp_path)
    cell = {"dataset": "digits+subset=300+noise=0.2", "augmentation": 0, "epochs": 30, "model": "vgg3-w16"}
    outcome = run(tiny(members=40, cells=[cell]), tmp_path)
    registry = Registry(uri(tmp_path))
    examples = registry.cell(outcome.cells["cell"][0]).examples.query("split == 'train'")
    flipped = examples["label"] != examples["clean_label"]
    score = registry.scores(outcome.cells["cell"][0])["score"]
    assert flipped.sum() == 60
    assert roc_auc_score(flipped, score) > 0.9
