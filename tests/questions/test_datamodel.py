"""`memreg datamodel` on a finished cell: what it keeps and says, and what it refuses."""

import mlflow
import pandas as pd
import pytest
from studies import bad_input, program, run, tiny, uri

from memreg.cli import memreg
from memreg.estimators.datamodel import FEWEST


@pytest.fixture(scope="module")
def fitting(tmp_path_factory):
    """A cell of 100 members on 60 examples: (directory, outcome)."""
    directory = tmp_path_factory.mktemp("datamodel")
    cells = [{"dataset": "digits+subset=60", "augmentation": 0, "epochs": 20, "r": 0.5}]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        outcome = run(tiny(members=100, cells=cells), directory)
    return directory, outcome


def test_margins_are_explained_and_scored_on_members_that_were_held_out(fitting, monkeypatch, capsys):
    directory, outcome = fitting
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    (hash_,) = outcome.cells["cell"]
    out = program(monkeypatch, capsys, memreg, "datamodel", "--cell", hash_, "--targets", "random:20")
    assert "100 members: linear datamodeling score of 20 targets" in " ".join(out.split())
    client = mlflow.MlflowClient(uri(directory))
    (analysis,) = client.search_runs([outcome.experiment_id], "tags.`memreg.kind` = 'analysis'")
    metrics = analysis.data.metrics
    assert metrics["lds_low"] <= metrics["lds"] <= metrics["lds_high"]
    assert metrics["lds"] > 0.3, "a network is surer of what it was trained on"
    targets, weights = (
        pd.read_parquet(client.download_artifacts(analysis.info.run_id, f"{name}.parquet"))
        for name in ("targets", "datamodel")
    )
    assert metrics["lds"] == pytest.approx(targets["lds"].mean())
    assert len(weights) == targets["weights"].sum()
    first = weights.groupby("example").first()
    assert (first["train"] == first.index).mean() > 0.3, "itself matters most, by chance in one of 60"
    figures = {f.path for f in client.list_artifacts(analysis.info.run_id, "figures")}
    assert figures == {"figures/datamodel.png", "figures/weights.png"}

    out = program(monkeypatch, capsys, memreg, "datamodel", "--cell", hash_, "--targets", "test:3")
    assert "of 3 targets" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--targets", "test:0"], "must be followed by how many of"),
        (["--targets", "test:x"], "must be followed by how many of"),
        (["--targets", "random:61"], "there are only 60 training examples"),
        (["--targets", "nothing"], "neither top:K"),
    ],
)
def test_targets_that_are_not_there_are_refused_in_a_line(fitting, monkeypatch, capsys, words, match):
    directory, outcome = fitting
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    bad_input(
        monkeypatch, capsys, memreg, "datamodel", "--cell", outcome.cells["cell"][0], *words, match=match
    )


def test_few_members_are_refused_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    cells = [{"dataset": "digits+subset=60", "epochs": 1}]
    (hash_,) = run(tiny(members=10, cells=cells), tmp_path).cells["cell"]
    line = bad_input(
        monkeypatch, capsys, memreg, "datamodel", "--cell", hash_, match="has 1 blocks of members"
    )
    assert f"takes {FEWEST}" in line
