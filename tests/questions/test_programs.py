"""Entry points that train nothing, and commands, as people run them on a finished study."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import yaml
from parts import ROOT
from sklearn.metrics import roc_auc_score
from studies import TINY, program, run, tiny, uri

from analysis.correlation import correlation
from analysis.memorization import memorization
from entrypoints.corr_grid import corr_grid
from entrypoints.train import train
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
    assert "Among 4 cells of 20 members" in program.stdout
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
    assert "Among 4 cells" in out
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


def ending(out):
    """Lines of an output after those of its progress."""
    lines = [line for line in out.splitlines() if line]
    last = max(
        (
            i
            for i, line in enumerate(lines)
            if re.match(r"\[\d|to train|\d+ cells?, [\d,]+ members: |warning: ", line)
        )
    )
    return lines[last + 1 :]


def test_a_run_ends_with_its_answer_two_cells_and_where_the_rest_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    outcome = run(tiny(), tmp_path)
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    end = ending(program(monkeypatch, capsys, corr_grid, "--grid", "tiny.yaml"))
    assert len(end) <= 10
    assert end[0].startswith("Among 4 cells of 20 members on 2 data sets, ")
    table = outcome.cells.sort_values("test_accuracy")["cell"].str[:8].tolist()
    shown = [hash_ for hash_ in table if any(hash_ in line for line in end)]
    assert shown == [table[0], table[-1]]
    assert any(line.startswith("cells:") and "(all 4: memreg cells --study tiny)" in line for line in end)
    assert [line.partition(":")[0] for line in end[-5:]] == ["report", "figure", "cells", "charts", "UI"]
    assert "memreg.command" not in mlflow.get_run(outcome.run_id).data.tags  # pytest is none of memreg's


def test_a_run_that_ended_with_warnings_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    words = "--dataset digits+subset=100 --model vgg3-w4 --members 2 --epochs 1 --study few"
    end = ending(program(monkeypatch, capsys, train, *words.split()))
    assert end[0].startswith("vgg3-w4 on digits+subset=100, 2 members: test accuracy ")
    assert end[1] == "Warning: a warning was given above, while it ran."
    assert len(end) <= 10
    run = Registry().study_run("few")
    said = "> **Warning:** batch_size=512 is more than the 70 examples that a member sees"
    answer, _, rest = run.data.tags["mlflow.note.content"].partition(said)
    assert "2 members: test accuracy" in answer
    assert "| number | what it is |" in rest
    page = (tmp_path / "mlruns" / "1" / run.info.run_id / "artifacts" / "report.html").read_text("utf-8")
    assert page.index("members: test accuracy") < page.index("batch_size=512 is more") < page.index("<img")
    words = "--dataset digits+subset=300 --model vgg3-w8 --members 6 --epochs 20 --batch-size 128 --study few"
    words += " --learning-rate 100 --augmentation 0"
    end = ending(program(monkeypatch, capsys, train, *words.split()))
    lost = int(Registry().cells("few")["diverged"].sum())
    assert lost, end
    assert f"Warning: {lost} members diverged, in 1 of 2 cells." in end[1]
    note = mlflow.MlflowClient().get_run(Registry().study_run("few").info.run_id).data.tags
    assert f"> **Warning:** {lost} members diverged" in note["mlflow.note.content"]
