"""Neighbours by log odds, candidates, and scores of all examples from members that leave candidates out."""

import json
import math
from itertools import combinations
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import beta
from studies import PLANTED, PLANTED_RECIPE, bad_input, program, uri

from memreg.cli import memreg
from memreg.design import Candidates
from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_alike
from memreg.estimators.peers import in_company
from memreg.estimators.similar import similar_groups
from memreg.estimators.statistics import OF_LEFT_OUT
from memreg.registry import Registry
from memreg.registry.stored_cell import Part
from memreg.scoring.candidates import candidate_scores, candidates_of, missed
from memreg.scoring.estimated import Odds, gaussian_of
from memreg.scoring.neighbours import ENOUGH, LOOKED_AT, UNBOUNDED, features_of
from memreg.show.explore.desk import Desk


def simulated(effect, k=300, seed=0, r=0.7, dealt=120):
    """Members of independent subsets of 120 examples, of which the first `dealt` are left out by some. Pairs
    (0, 1), (2, 3), ... of the first 40 teach each other."""
    n = 120
    rng = np.random.default_rng(seed)
    included = rng.random((k, n)) < r
    included[:, dealt:] = True
    margin = rng.standard_normal((k, n)) + 3 * included
    other = np.arange(40) ^ 1
    margin[:, :40] += effect * included[:, other]
    return included, margin, np.zeros(n, np.int64)


def alike(included, margin, labels):
    return find_alike([(included, margin)], labels)


def test_those_that_teach_each_other_are_found_by_log_odds():
    found = alike(*simulated(1.0)).toarray() > 0
    pairs = np.zeros((120, 120), bool)
    pairs[np.arange(40), np.arange(40) ^ 1] = True
    assert found[pairs].mean() > 0.9
    assert found[~pairs].sum() / 120 < 0.08


def test_false_peers_are_as_many_as_is_said():
    counts = [(alike(*simulated(0.0, seed=s)).toarray() > 0).sum() / 120 for s in range(20)]
    assert np.mean(counts) == pytest.approx(0.02, abs=0.012)


@pytest.mark.parametrize("k", [40, 100, 300])
def test_networks_that_fail_make_no_false_peers_where_enough_leave_each_example_out(k):
    counts = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        included = np.ones((k, 100), bool)
        for i in range(100):
            included[rng.choice(k, round(ENOUGH * k), replace=False), i] = False
        margin = 5 + rng.standard_normal((k, 100))
        margin[rng.random((k, 100)) < 0.02] = -3
        counts.append(alike(included, margin, np.zeros(100, np.int64)).nnz / 100)
    assert np.mean(counts) < 0.05


def test_own_inclusion_and_constant_columns_make_no_peers():
    included, margin, labels = simulated(0.0)
    margin[:, 5], included[:, 7] = 2.0, True
    found = alike(included, margin, labels).toarray()
    assert np.isfinite(found).all()
    assert (found[5] == 0).all()
    assert (np.diag(found) == 0).all()
    assert (found[:, 7] == 0).all()


def test_members_of_several_designs_find_peers_together():
    """As many as so many of one; what a design never leaves out, it says nothing of."""
    pairs = np.zeros((120, 120), bool)
    pairs[np.arange(40), np.arange(40) ^ 1] = True
    few, rest = simulated(0.4, k=100), simulated(0.4, k=200, seed=1, r=0.8, dealt=20)
    labels = few[2]
    alone, both = (find_alike(designs, labels).toarray() for designs in ([few[:2]], [few[:2], rest[:2]]))
    assert (both > 0)[pairs][:20].mean() > (alone > 0)[pairs][:20].mean() + 0.2
    assert (both > 0)[pairs][20:].mean() == pytest.approx((alone > 0)[pairs][20:].mean(), abs=0.1)
    assert (both > 0)[~pairs].sum() / 120 < 0.08


def test_members_that_include_peers_are_as_leave_one_out():
    """Half of the networks without an example get it right where its peer is there, none where it is not."""
    included, margin, labels = simulated(3.0, k=600, r=0.8)
    margin += 6 * included - 3
    members = Odds(np.arange(600), included, margin > 0, margin)
    second = np.arange(600) % 20 >= 10
    peers = [alike(included[rows], margin[rows], labels) for rows in (~second, second)]
    company, cell = in_company(included, second, tuple(peers)), SimpleNamespace(given_labels=labels)
    scores = gaussian_of(cell, members, company)["score"]
    assert scores[:40].mean() == pytest.approx(0.5, abs=0.02)
    assert scores[40:].mean() == pytest.approx(1, abs=0.02)
    assert gaussian_of(cell, members, np.ones_like(company))["score"][:40].mean() > 0.56


def test_other_classes_are_no_peers():
    included, margin, labels = simulated(1.0)
    labels[::2] = 1
    assert alike(included, margin, labels).nnz / 120 < 0.08


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """A pilot on a planted set, and a cell of candidates that it has chosen: (directory, pilot, cell)."""
    directory = tmp_path_factory.mktemp("candidates")
    fields = [w for k, v in PLANTED_RECIPE.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MLFLOW_TRACKING_URI", uri(directory))

        def do(*words):
            result = CliRunner().invoke(memreg, [str(w) for w in words], catch_exceptions=False)
            assert result.exit_code == 0, result.output
            return result.output

        do("train", "--dataset", PLANTED, *fields, "--members", 60, "--study", "pilot")
        pilot = Registry(uri(directory)).cells("pilot")["cell"].iloc[0]
        chosen = ("--design", "candidates", "--candidates", "top:80", "--audit", 25, "--neighbours", pilot)
        do("train", "--like", pilot, *chosen, "--r", "0.8", "--members", 60, "--study", "laid-out")
        cell = Registry(uri(directory)).cells("laid-out")["cell"].iloc[0]
        said = do("memorization", "--cell", cell, "--estimator", "candidates")
    return directory, pilot, cell, " ".join(said.split())


def test_a_pilot_chooses_candidates_and_an_audit(laid_out):
    directory, pilot, cell, _ = laid_out
    registry = Registry(uri(directory))
    design = registry.cell(cell).cell.design
    assert isinstance(design, Candidates)
    assert (len(design.candidates), len(design.audit)) == (80, 25)
    assert (design.candidates, design.audit) == candidates_of(registry.cell(pilot), "top:80", 25, 0)
    included = registry.predictions(cell).included
    assert (included.all(0) == ~np.isin(np.arange(included.shape[1]), design.dealt)).all()
    score = registry.cell(pilot).scores()["score"]
    rest = score.drop(list(design.candidates))
    assert score[list(design.candidates)].mean() > rest.mean() + 0.1


def test_all_examples_have_a_score_and_the_audit_bounds_the_others(laid_out):
    directory, _, cell, said = laid_out
    stored = Registry(uri(directory)).cell(cell)
    design, table = stored.cell.design, stored.scores("candidates")
    assert table["score"].notna().all()
    dealt = table["example"].isin(design.dealt).to_numpy()
    rest, audit = table[~dealt], table.loc[list(design.audit)]
    assert (rest["score"] == 0).all()
    assert (rest["audited"] == 25).all()
    assert (rest["low"] == min(audit["score"].min(), 0)).all()
    assert (rest["high"] == max(audit["score"].max(), 0)).all()
    assert "no candidates; but for the audited ones they score 0" in said
    assert "as 25 random others say" in said
    assert table[dealt]["score"].abs().max() > 0


def test_no_mean_over_candidates_passes_for_one_over_the_data_set(laid_out, monkeypatch, capsys):
    directory, _, cell, said = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    registry = Registry()
    stored = registry.cell(cell)
    assert "included_accuracy" in stored.metrics
    assert not [key for key in stored.metrics if key.startswith(OF_LEFT_OUT)]
    assert stored.scores()["score"].notna().sum() == 105
    why = "members of design candidates leave out only chosen examples, which do not stand for the data set"
    out = " ".join(program(monkeypatch, capsys, memreg, "memorization", "--cell", cell).split())
    assert f"scores of 105 of {stored.n_train} training examples, and no mean or share of them: {why}." in out
    assert "nan" not in out + said
    by_design = stored.scores("candidates")["score"]
    run = mlflow.MlflowClient().search_runs(["1"], "metrics.missed >= 0")[0]
    assert run.data.metrics["mean_score"] == pytest.approx(by_design.mean())
    out = " ".join(program(monkeypatch, capsys, memreg, "cells", "--study", "laid-out").split())
    assert f"memorized is -: {why}" in out
    assert "memorized_set/0.25" not in run.data.metrics
    for more in ((), ("--queries",)):
        said = f"{cell[:12]}: {why}, and attacks would be of these: name a cell of subsets"
        assert said in bad_input(monkeypatch, capsys, memreg, "privacy", "--cell", cell, *more)


def test_candidates_are_left_out_of_a_correlation_and_counted(laid_out, monkeypatch, capsys):
    directory, pilot, _, _ = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    words = ("train", "--like", pilot, "--members", "20", "--design-seed")
    for seed in (5, 6):
        program(monkeypatch, capsys, memreg, *words, seed, "--study", f"seed-{seed}")
    studies = "pilot,laid-out,seed-5,seed-6"
    out = program(monkeypatch, capsys, memreg, "correlation", "--study", studies)
    said = "Warning: 1 cell is left out, since members of design candidates leave out only chosen examples"
    assert said in " ".join(out.split())
    assert "3 cells" in out
    note = mlflow.MlflowClient().search_runs(["1"], "run_name LIKE 'correlation%'")[0].data.tags
    assert "> **Warning:** 1 cell is left out" in note["mlflow.note.content"]
    refused = bad_input(monkeypatch, capsys, memreg, "correlation", "--study", "pilot,laid-out,seed-5")
    assert "has 2 cells with scores and test accuracy" in refused


def test_no_page_has_candidates_in_a_correlation(laid_out, monkeypatch, capsys):
    directory, pilot, _, _ = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    for seed in ("0", "5", "6"):
        words = ("--members", "20", "--design-seed", seed, "--study", "mixed")
        program(monkeypatch, capsys, memreg, "train", "--like", pilot, *words)
    (directory / "some.json").write_text(json.dumps([*range(80)]))
    chosen = ("--design", "candidates", "--candidates", "some.json", "--neighbours", pilot)
    words = ("train", "--like", pilot, *chosen, "--r", "0.8", "--members", "10", "--study", "mixed")
    program(monkeypatch, capsys, memreg, *words)
    registry = Registry()
    (cell,) = registry.cells("mixed").query("design == 'candidates'")["cell"]
    desk = Desk(registry, lambda name: pytest.fail("what is stored is of these cells"))
    found = desk.study("mixed")
    assert "1 cell is left out, since members of design candidates" in found["left_out"]
    assert len(found["cells"]) == 4
    assert cell not in {row["cell"] for row in found["points"]}
    stored = registry.artifacts(registry.study_run("mixed")).get("correlation.json")
    earlier = json.loads(stored.read_text())
    earlier["cells"].append({**earlier["cells"][0], "cell": cell})
    stored.write_text(json.dumps(earlier))
    asked = []
    again = Desk(registry, lambda name: asked.append(name) or json.dumps({**earlier, "cells": []}))
    assert again.study("mixed")["points"] == []
    assert asked == ["mixed"]


@pytest.mark.parametrize("design", ["candidates", "spread"])
def test_neighbours_are_those_whose_features_a_pilot_has_traced(laid_out, design, monkeypatch, capsys):
    directory, pilot, _, _ = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    looking = ("--trace", "3", "--checkpoints", "1", "--observers", "features", "--members", "60")
    program(monkeypatch, capsys, memreg, "train", "--like", pilot, *looking, "--study", "traced")
    words = ("--design", design, "--neighbours", pilot, "--r", "0.8", "--members", "5", "--study", design)
    if design == "candidates":
        words += ("--candidates", "top:80", "--audit", "25")
    program(monkeypatch, capsys, memreg, "train", "--like", pilot, *words)
    registry = Registry(uri(directory))
    stored = registry.cell(registry.cells(design)["cell"].iloc[0])
    assert {len(own) for own in stored.cell.design.neighbours} <= {2, 3, 4, 5}
    traced, labels = registry.cell(pilot), stored.train_labels
    assert Part(traced, [1]).traces("features").member.tolist() == [1]
    dealt = stored.cell.design.dealt if design == "candidates" else range(stored.n_train)
    groups = similar_groups(traced.traces("features")["features"], labels, dealt, 5)
    assert stored.cell.design.neighbours == groups
    left_out = ~registry.predictions(stored.hash).included
    assert max(left_out[:, own].sum(1).max() for own in groups) == 1
    group = stored.examples["group"].to_numpy()
    mates = [
        pair
        for number in np.unique(group[: stored.n_train])[1:]
        if (group[: stored.n_train] == number).sum() in (2, 3)
        for pair in combinations(np.intersect1d(np.flatnonzero(group == number), dealt).tolist(), 2)
    ]
    assert mates
    assert all(any({*pair} <= {*own} for own in groups) for pair in mates)


def test_members_whose_features_are_not_finite_tell_nothing():
    class Traced:
        train_labels = np.zeros(6, np.int64)

        def each_trace(self, *_):
            rng = np.random.default_rng(0)
            for member in range(30):
                features = rng.standard_normal((1, 6, 4)).astype(np.float16)
                if member in (0, 4):
                    features[0, 2, 1] = (np.nan, 0, 0, 0, np.inf)[member]
                if member == 3:
                    features[0, 5] = UNBOUNDED
                if member == 2:
                    features = features[:, :4]
                yield SimpleNamespace(quantities={"features": features} if member != 1 else {})

    found = features_of(Traced())
    assert found.shape == (LOOKED_AT - 5, 6, 4), "of the first members with a trace"
    assert np.isfinite(found).all()


def test_what_is_missed_is_estimated_from_the_audit():
    design = Candidates(candidates=tuple(range(50)), audit=tuple(range(50, 90)))
    score = np.zeros(200)
    score[:30], score[50] = 0.5, 0.3
    share, low, high = missed(pd.DataFrame({"score": score}), design, 0.25)
    others = 150 / 40
    assert share == pytest.approx(others / (others + 30))
    ends = [150 * q for q in (beta.ppf(0.025, 1, 40), beta.ppf(0.975, 2, 39))]
    assert (low, high) == pytest.approx(tuple(e / (e + 30) for e in ends))
    score[50] = 0
    share, low, _ = missed(pd.DataFrame({"score": score}), design, 0.25)
    assert share == low == 0
    few = Candidates(candidates=tuple(range(50)), audit=(60, 61))
    assert all(math.isnan(v) for v in missed(pd.DataFrame({"score": score}), few, 0.25))


def test_what_cannot_be_is_refused(laid_out, monkeypatch, capsys):
    directory, pilot, _, _ = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    stored = Registry(uri(directory)).cell(pilot)
    with pytest.raises(MemregError, match="not candidates"):
        candidate_scores(stored)
    with pytest.raises(MemregError, match="only 5 examples that are no candidates"):
        candidates_of(stored, f"top:{stored.n_train - 5}", 6, 0)
    (directory / "far.json").write_text("[1, 5000]")
    words = ("train", "--like", pilot, "--design", "candidates", "--members", "5")
    for more, said in (
        (("--candidates", "top:80"), "say neighbours=CELL"),
        (("--candidates", "top:80", "--neighbours", pilot, "--audit", "x"), "audit"),
        (
            (
                "--candidates",
                "absent.json",
            ),
            "must be a JSON file with a list of training examples",
        ),
        ((), "say who they are"),
        (("--candidates", "far.json", "--audit", "20"), "audit=20: beside a JSON file of candidates it is"),
        (("--candidates", "far.json", "--neighbours", pilot), "there is no training example 5000"),
    ):
        assert said in bad_input(monkeypatch, capsys, memreg, *words, *more)


def test_candidates_may_come_from_files(laid_out, monkeypatch, capsys):
    directory, pilot, _, _ = laid_out
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    (directory / "c.json").write_text(json.dumps([*range(30)]))
    (directory / "a.json").write_text(json.dumps([40, 41]))
    words = ("--design", "candidates", "--candidates", "c.json", "--audit", "a.json", "--members", "10")
    program(monkeypatch, capsys, memreg, "train", "--like", pilot, *words, "--study", "files")
    design = (
        Registry(uri(directory)).cell(Registry(uri(directory)).cells("files")["cell"].iloc[0]).cell.design
    )
    assert design.candidates == tuple(range(30))
    assert design.audit == (40, 41)
