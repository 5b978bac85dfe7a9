"""Marginal utility end to end, on a planted set."""

import re
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests
from studies import refused, uri

from entrypoints.marginal_utility import marginal_utility
from memreg.questions.marginal_utility import MarginalUtility, affected
from memreg.registry import Registry
from memreg.show.notes import IN_FULL

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
    out = do(marginal_utility, "--cell", cell, "--thresholds", "0.3,0.6", *SOME)
    end = out[out.index("Test accuracy without the examples that score a threshold or more") :]
    assert len([line for line in end.splitlines() if line]) <= 10
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
    label = registry.cell(cell).examples["label"].to_numpy()

    def accuracy(hash_):
        found = registry.predictions(hash_)
        n = found.included.shape[1]
        return (found.predicted[:6, n:] == label[n:]).mean()

    assert row["difference"] == pytest.approx(100 * (accuracy(own) - accuracy(everything["cell"])))
    assert re.search(rf"\n +0\.60 +{row['removed']} +6 +{row['difference']:+.2f} ", end)
    note = run.data.tags["mlflow.note.content"]
    assert f"At 0.60: without the {row['removed']} examples that score it" in note.partition(IN_FULL)[2]
    assert run.data.metrics["difference/scored/0.60"] == pytest.approx(row["difference"])
    x, y = (registry.predictions(c) for c in (own, everything["cell"]))
    n = x.included.shape[1]
    each = 100 * ((x.predicted[:6, n:] == label[n:]).mean(0) - (y.predicted[:6, n:] == label[n:]).mean(0))
    by_hand = ttest_1samp(each, 0).confidence_interval(0.95)
    assert (row["difference_images_low"], row["difference_images_high"]) == pytest.approx(tuple(by_hand))
    assert f"({row['difference_both_low']:+.2f}, {row['difference_both_high']:+.2f})" in out
    assert "are over networks and test images" in " ".join(out.split())
    wider = table["difference_both_high"] - table["difference_both_low"]
    assert (wider >= table["difference_images_high"] - table["difference_images_low"] - 1e-9).mean() > 0.8
    assert np.allclose(
        table["difference_high"] - table["difference"], table["difference"] - table["difference_low"]
    )

    out = do(marginal_utility, "--cell", cell, "--thresholds", "0.3,0.45,0.6", *SOME)
    known = len(cells) * 6
    assert f"{known} already in the registry" in out
    again = answer("marginal_utility")[1]
    corrected = ["p_holm", "p_equivalent_holm"]
    old = again[again["threshold"] != 0.45].drop(columns=corrected).reset_index(drop=True)
    assert old.equals(table.drop(columns=corrected))


def test_equivalence_is_decided_by_the_corrected_p_value(tool):
    cell, do = tool
    do(marginal_utility, "--cell", cell, "--thresholds", "0.3,0.6", *SOME)
    table = answer("marginal_utility")[1]
    for _, rows in table.groupby(["images", "arm"]):
        expected = multipletests(rows["p_equivalent"], method="holm")[1]
        assert rows["p_equivalent_holm"].to_numpy() == pytest.approx(expected)
    words = []
    for corrected in (0.03, 0.15):
        same = table.assign(p_holm=1.0, p_equivalent=0.03, p_equivalent_holm=corrected)
        words.append(MarginalUtility(same, pd.DataFrame(), 0.5, "", "", [], ()).in_words())
    assert "(no difference of 0.5 points or more)" in words[0]
    assert "(undecided)" in words[1]
    shifted = table.assign(p_holm=0.01, difference_both_low=-3.0, difference_both_high=1.0)
    assert "on these test images)" in MarginalUtility(shifted, pd.DataFrame(), 0.5, "", "", [], ()).in_words()


def test_sub_populations_that_rest_on_chance_are_left_out_and_the_answer_says_why(done, monkeypatch):
    """With 20 members on digits, without planted groups, nearly every pair is chance."""
    monkeypatch.chdir(done[0])
    registry = Registry(uri(done[0]))
    cell = registry.cell(registry.cells("tiny")["cell"][0])
    found = affected(cell, {0.25: np.ones(cell.n_train, bool)})
    assert not found.images[0.25].any()
    assert re.search(r"left out, .* chance alone gives [\d,]+\. .* take about [\d,]+ members", found.left_out)


def test_sub_populations_are_those_of_pairs_that_can_be_told_from_chance(monkeypatch):
    """Of 2,000 members: training example i helps test example 10 i."""
    rng, n = np.random.default_rng(0), 40
    included = rng.random((2000, n)) < 0.7
    p = np.full((2000, 400), 0.5)
    p[:, ::10] += 0.3 * (included - 0.7)
    members = SimpleNamespace(included=included, correct_test=rng.random(p.shape) < p)
    monkeypatch.setattr("memreg.questions.marginal_utility.outcomes", lambda *_: members)
    examples = pd.DataFrame({"split": ["train"] * n + ["test"] * 400})
    cell = SimpleNamespace(examples=examples, n_train=n)
    found = affected(cell, {0.5: np.arange(n) < 7})
    assert found.left_out == ""
    assert np.flatnonzero(found.images[0.5]).tolist() == [0, 10, 20, 30, 40, 50, 60]


def test_the_threshold_can_be_left_to_the_scores(tool):
    cell, do = tool
    out = do(marginal_utility, "--cell", cell, "--thresholds", "auto", "--study", "auto", *SOME)
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
    refused(planted, monkeypatch, capsys, marginal_utility, words, message)
