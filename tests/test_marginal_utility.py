"""Marginal utility end to end, on a planted set."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from studies import refused, uri

from entrypoints.marginal_utility import utility
from memreg.registry import Registry

SOME = ("--members", "6", "--neighbours", "groups", "--workers", "2")


def answer(name):
    """(metrics, table, files) of the study's run."""
    registry, client = Registry(), mlflow.MlflowClient()
    run = registry.study_run(name)
    path = client.download_artifacts(run.info.run_id, "marginal_utility.parquet")
    files = {f.path for f in client.list_artifacts(run.info.run_id, "figures")}
    return run, pd.read_parquet(path), files


def test_arms_are_trained_compared_and_reused(tool):
    cell, do = tool
    out = do(utility, "--cell", cell, "--thresholds", "0.3,0.6", *SOME)
    assert "At 0.30: without the" in out
    run, table, files = answer("marginal_utility")
    assert files == {"figures/marginal_utility.png"}
    assert set(table["arm"]) == {"scored", "random", "verified", "thinned", "below"}
    assert set(table["images"]) == {"all", "distinct", "sub-populations"}
    registry = Registry()
    score = registry.scores(cell)["score"].to_numpy()
    cells = registry.cells("marginal_utility")
    everything = cells.query("design == 'all'").iloc[0]
    row = table.query("images == 'all' and arm == 'scored' and threshold == 0.6").iloc[0]
    assert row["removed"] == (score >= 0.6).sum()
    own = next(c for c in cells["cell"] if (~registry.predictions(c).included[0] == (score >= 0.6)).all())
    label = registry.examples(cell)["label"].to_numpy()

    def accuracy(hash_):
        found = registry.predictions(hash_)
        n = found.included.shape[1]
        return (found.predicted[:6, n:] == label[n:]).mean()

    assert row["difference"] == pytest.approx(100 * (accuracy(own) - accuracy(everything["cell"])))
    assert run.data.metrics["difference/scored/0.60"] == pytest.approx(row["difference"])
    assert np.allclose(
        table["difference_high"] - table["difference"], table["difference"] - table["difference_low"]
    )

    out = do(utility, "--cell", cell, "--thresholds", "0.3,0.45,0.6", *SOME)
    known = len(cells) * 6
    assert f"{known} already in the registry" in out
    again = answer("marginal_utility")[1]
    old = again[again["threshold"] != 0.45].drop(columns="p_holm").reset_index(drop=True)
    assert old.equals(table.drop(columns="p_holm"))


def test_the_threshold_can_be_left_to_the_scores(tool):
    cell, do = tool
    out = do(utility, "--cell", cell, "--thresholds", "auto", "--study", "auto", *SOME)
    assert "is the knee of the sorted scores" in out
    assert "false discovery rate" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cell", "CELL", "--thresholds", "1"], "no example scores it|all .* examples of class"),
        (["--cell", "CELL", "--thresholds", "-0.9"], "all .* examples of class"),
        (["--cell", "CELL", "--thresholds", "0.2,high"], "must be scores"),
        (["--cell", "CELL", "--thresholds", "nan"], "must be scores"),
        (["--cell", "CELL", "--estimator", "nothing"], "nothing"),
        (["--cell", "CELL", "--estimator", "CELL:nothing"], "nothing"),
        (["--cell", "CELL", "--neighbours", "none.json"], "neighbours"),
        (["--cell", "CELL", "--margin", "0"], "margin"),
        (["--cell", "CELL", "--members", "0"], "members"),
        (["--cell", "nothing"], "nothing"),
        ([], "--cell"),
    ],
    ids=lambda v: str(v)[:50],
)
def test_bad_input_is_one_line_and_trains_nothing(planted, monkeypatch, capsys, words, message):
    monkeypatch.chdir(planted[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(planted[0]))
    refused(planted, monkeypatch, capsys, utility, words, message)
