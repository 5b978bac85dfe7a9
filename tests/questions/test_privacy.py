"""`memreg privacy`: what it keeps, what it says, and what becomes of it when a cell grows."""

import re
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from studies import bad_input, program, run, tiny, uri

from memreg import notebook
from memreg.cli import memreg
from memreg.errors import MemregError
from memreg.estimators.statistics import PRIVACY
from memreg.estimators.traces import Traces
from memreg.questions.correlation import of_cells
from memreg.registry import Registry
from memreg.registry.shards import write_shard
from memreg.scoring.privacy import attack, margins_of, queries_of, separations_in_halves

CELLS = [{"dataset": "digits+subset=300", "augmentation": 0, "epochs": e} for e in (4, 8, 16)]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Three cells of 40 members, the first attacked: (directory, outcome, what was printed)."""
    directory = tmp_path_factory.mktemp("privacy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MLFLOW_TRACKING_URI", uri(directory))
        outcome = run(tiny(members=40, cells=CELLS), directory, "fitting")
    return directory, outcome


def test_a_cell_is_attacked_and_what_is_found_is_kept_beside_its_scores(attacked, monkeypatch, capsys):
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][2])
    with pytest.raises(MemregError, match=f"`memreg privacy --cell {cell.hash[:12]}` computes it"):
        cell.scores("privacy")
    out = program(monkeypatch, capsys, memreg, "privacy", "--cell", cell.hash[:12])
    assert "40 members, each attacked with the others: of what it was trained on, LiRA finds" in out
    assert "an unknown share (it takes 10,000 trials without the example, and there are 3,600)" in out
    assert "All examples share one variance" in out

    table = cell.scores("privacy")
    assert len(table) == cell.n_train == 300
    assert table["low"].le(table["score"]).all()
    assert table["score"].le(table["high"]).all()
    assert (table["included_count"] + table["excluded_count"] == 40).all()
    assert table["tpr_0.001"].isna().all()
    metrics = Registry().cell(cell.hash).metrics
    assert metrics["privacy/tpr_0.01"] == pytest.approx(table["tpr_0.01"].mean(), abs=0.01)
    assert metrics["privacy/auc"] > 0.5
    assert metrics["privacy/auc_low"] <= metrics["privacy/auc"] <= metrics["privacy/auc_high"]
    assert {key for key, value in metrics.items() if key in PRIVACY} == {
        k for k, v in PRIVACY.items() if "0.001" not in k and not v.queries
    }
    assert not pd.isna(Registry().cells("fitting")["privacy/auc"]).all()
    shown = program(monkeypatch, capsys, memreg, "scores", cell.hash, "--estimator", "privacy", "--top", "3")
    assert len(shown.splitlines()) == 4

    client = mlflow.MlflowClient(uri(directory))
    (analysis,) = client.search_runs([outcome.experiment_id], "tags.`memreg.kind` = 'analysis'")
    figures = {f.path for f in client.list_artifacts(analysis.info.run_id, "figures")}
    assert figures == {"figures/privacy.png", "figures/privacy_memorization.png"}
    note = analysis.data.tags["mlflow.note.content"]
    assert "multiply a likelihood ratio by 2.33" in note
    assert "RMIA finds" in note


def test_privacy_is_correlated_with_test_accuracy_like_any_statistic(attacked, monkeypatch, capsys):
    directory, _ = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    result = notebook.Registry().correlation("fitting", "privacy/auc").result
    cells = result.cells
    assert cells["privacy/auc"].between(cells["privacy/auc_low"], cells["privacy/auc_high"]).all()
    assert cells["privacy/auc"][2] > cells["privacy/auc"][0], "more training is more to tell"
    assert "privacy/auc" in result.pooled
    assert "privacy/auc" not in result.identities
    out = program(
        monkeypatch, capsys, memreg, "correlation", "--study", "fitting", "--statistic", "privacy/rmia/auc"
    )
    assert "Whether membership inference's AUC (RMIA) goes with test accuracy over 3 cells" in out
    bad_input(
        monkeypatch,
        capsys,
        memreg,
        *("correlation", "--study", "fitting", "--statistic", "privacy/tpr"),
        match="unknown statistic 'privacy/tpr'",
    )
    bad_input(
        monkeypatch,
        capsys,
        memreg,
        *("correlation", "--study", "fitting", "--statistic", "privacy_queries/auc"),
        match="has no member that kept queries: `memreg train --like ",
    )


def test_what_was_said_of_fewer_members_is_withdrawn_when_a_cell_grows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    cells = [{"dataset": "digits+subset=100", "augmentation": 0}]
    hash_ = run(tiny(members=20, cells=cells), tmp_path).cells["cell"][0]
    out = program(monkeypatch, capsys, memreg, "privacy", "--cell", hash_)
    assert "[no interval: it takes more blocks of members]" in out
    assert Registry().cell(hash_).metrics["privacy/auc"] > 0
    run(tiny(members=30, cells=cells), tmp_path)
    grown = Registry().cell(hash_)
    assert np.isnan(grown.metrics["privacy/auc"])
    with pytest.raises(MemregError, match="from 20 members"):
        grown.scores("privacy")


def test_members_that_cannot_be_attacked_are_refused_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    cells = [
        {"dataset": "digits+subset=100", "epochs": 1},
        {"dataset": "digits+subset=100", "epochs": 1, "design": "all"},
        {"dataset": "digits+subset=100", "epochs": 1, "r": 0.5, "members": 4},
    ]
    hashes = run(tiny(members=10, cells=cells), tmp_path).cells["cell"]
    said = ("has one block of members", "has no example that some", "no example has two with")
    for hash_, match in zip(hashes, said, strict=True):
        bad_input(monkeypatch, capsys, memreg, "privacy", "--cell", hash_, match=match)


def test_members_without_margins_are_attacked_with_a_warning(attacked, monkeypatch, capsys):
    """Shards of schema 1: their tails are clipped, and that is said."""
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][1])
    for name in cell.artifacts.names("predictions", ".arrow")[:1]:
        path = cell.artifacts.get(name)
        members = cell._read(name, ("member", "seed", "included", "predicted", "p_max", "margin"))
        columns = {key: value for key, value in members.columns.items() if key != "margin"}
        old = type(members)(columns | {"p_label": members.p_label})
        write_shard(path, old, cell.hash, cell.tags["memreg.dataset_fingerprint"])
    clipped = margins_of(Registry().cell(cell.hash)).clipped
    assert clipped > 0
    out = program(monkeypatch, capsys, memreg, "privacy", "--cell", cell.hash)
    assert f"Warning: of 40 members {clipped} have no margins but p_label" in " ".join(out.split())


def test_halves_of_blocks_that_are_all_in_one_say_nothing(attacked, monkeypatch):
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    known = margins_of(Registry().cell(outcome.cells["cell"][0])).known
    even = separations_in_halves(known.part(known.block % 2 == 0))
    assert np.isnan(even[1]).all()
    assert np.isfinite(even[0]).all()


def test_members_that_tell_of_one_side_alone_are_refused(attacked, monkeypatch):
    """Every example is left out by two members of different blocks: the left-out ones have one other each."""
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][0])
    margins = margins_of(cell)
    included = np.ones_like(margins.known.included)
    included[[0, 10]] = False
    one_sided = replace(margins, known=replace(margins.known, included=included))
    monkeypatch.setattr("memreg.scoring.privacy.margins_of", lambda cell: one_sided)
    with pytest.raises(MemregError, match="no example has two with it and two without it"):
        attack(cell)


def test_a_cell_that_is_getting_more_members_is_refused(attacked, monkeypatch, capsys):
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][0])
    client = mlflow.MlflowClient(uri(directory))
    client.set_tag(cell.run_id, "memreg.status", "training")
    bad_input(monkeypatch, capsys, memreg, "privacy", "--cell", cell.run_id, match="is getting more members")
    client.set_tag(cell.run_id, "memreg.status", "complete")


def test_without_margins_of_test_examples_rmia_is_left_out_and_that_is_said(attacked, monkeypatch, capsys):
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][0])
    margins = margins_of(cell)
    n = margins.known.included.shape[1]
    without = replace(margins, known=replace(margins.known, margin=margins.known.margin[:, :n]))
    monkeypatch.setattr("memreg.scoring.privacy.margins_of", lambda cell: without)
    out = program(monkeypatch, capsys, memreg, "privacy", "--cell", cell.hash)
    assert "RMIA is left out" in " ".join(out.split())


def test_networks_that_kept_queries_are_attacked_by_views_too(tmp_path, monkeypatch, capsys):
    """The refusal says the command, which is run as it is said; first of half the members."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    cells = [{"dataset": "digits+subset=300", "augmentation": 0, "epochs": 16}]
    cell = run(tiny(members=40, cells=cells), tmp_path, "asked").cells["cell"][0]
    program(monkeypatch, capsys, memreg, "privacy", "--cell", cell)
    plain = Registry().cell(cell)
    wrong = ("privacy", "--cell", cell, "--queries", "two")
    bad_input(monkeypatch, capsys, memreg, *wrong, match="valid boolean")
    said = bad_input(monkeypatch, capsys, memreg, "privacy", "--queries", "--cell", cell)
    words = said.split("`")[1].split()[1:]
    assert words[1:] == [
        *("--like", cell[:12], "--members", "40", "--trace", "40", "--checkpoints", "1"),
        *("--observers", "queries"),
    ], said
    some = [*words, "--trace", "10"]
    program(monkeypatch, capsys, memreg, *some)
    bad_input(
        monkeypatch,
        capsys,
        memreg,
        *("privacy", "--cell", cell, "--queries"),
        match="of whose members 10 kept queries, has one block of members",
    )
    program(monkeypatch, capsys, memreg, *words, "--trace", "30")
    out = " ".join(program(monkeypatch, capsys, memreg, "privacy", "--cell", cell, "--queries").split())
    assert "30 members, each attacked with the others by 9 queries an image" in out
    assert "Of the cell's 40 members 30 kept queries, and count." in out

    program(monkeypatch, capsys, memreg, *words)
    out = " ".join(
        program(monkeypatch, capsys, memreg, "privacy", "--cell", cell, "--queries", "true").split()
    )
    assert "40 members, each attacked with the others by 9 queries an image" in out
    assert "kept queries, and count" not in out
    assert "RMIA is left out: it compares with test images, of which no views were kept" in out
    found = Registry().cell(cell)
    metrics = {key: value for key, value in found.metrics.items() if value == value}
    for key, value in plain.metrics.items():
        if key.startswith("privacy/"):
            assert found.metrics[key] == pytest.approx(value, nan_ok=True), "plain privacy stays"
    gain = metrics["privacy_queries/auc"] - metrics["privacy/auc"]
    assert metrics["privacy_queries/gain/auc"] == pytest.approx(gain)
    assert metrics["privacy_queries/gain/auc_low"] < gain < metrics["privacy_queries/gain/auc_high"]
    said = re.search(r"By the image alone it finds .* \(AUC (.*?)\): .*, (\S+) \[.*\] of AUC\.", out)
    assert said, out
    assert [float(word) for word in said.groups()] == pytest.approx([metrics["privacy/auc"], gain], abs=5e-4)
    assert not [key for key in metrics if key.startswith("privacy_queries/rmia")]
    correlated = of_cells(Registry(), [found.run_id], "privacy_queries/auc").result.cells
    assert correlated["privacy_queries/auc"].tolist() == [pytest.approx(metrics["privacy_queries/auc"])]

    table, known = found.scores("privacy_queries"), queries_of(found).known
    assert len(known.views) == 8
    trace = found.traces("queries", "margin")
    for view, kept in zip(known.views, np.moveaxis(trace["queries"], 2, 0), strict=True):
        assert (view == kept).all()
    assert (known.margin == found.members().margin[:, :300]).all(), "the networks that are stored"
    mean = np.mean([known.margin, *known.views], axis=0, dtype=float)
    for i in (0, 150, 299):
        with_it, without = mean[known.included[:, i], i], mean[~known.included[:, i], i]
        auc = np.mean(np.subtract.outer(with_it, without) > 0)
        assert table["score"][i] == pytest.approx(auc, abs=0.01)
    assert plain.scores("privacy").equals(found.scores("privacy"))
    (analysis,) = mlflow.MlflowClient(uri(tmp_path)).search_runs(
        [mlflow.get_experiment_by_name("memreg").experiment_id],
        "tags.`memreg.kind` = 'analysis' and metrics.`privacy_queries/gain/auc` > -1",
        max_results=1,
    )
    assert "scores-privacy_queries.parquet" in {
        f.path for f in mlflow.MlflowClient(uri(tmp_path)).list_artifacts(analysis.info.run_id)
    }


def test_queries_of_a_network_that_diverged_are_not_asked(attacked, monkeypatch):
    """Nor those that are not numbers."""
    directory, outcome = attacked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    cell = Registry().cell(outcome.cells["cell"][0])
    members = cell.members("included")
    rng = np.random.default_rng(0)

    def traces(self, *quantities):
        for m, included in zip(members.member, members.included, strict=True):
            margin = rng.normal(3, 1, (1, 2, 300)).astype(np.float16)
            queries = rng.normal(3, 1, (1, 300, 8)).astype(np.float16)
            queries[0, 5, 3] = np.nan if m == 3 else 0
            own = {"margin": margin} | ({} if m == 7 else {"queries": queries})
            steps = np.array([3, 6], np.int32)
            yield Traces(np.array([m], np.int32), included[None], steps, steps / 6, {}, own)

    monkeypatch.setattr("memreg.registry.StoredCell.each_trace", traces)
    found = queries_of(cell)
    assert len(found.known.block) == 38
    assert found.left_out == 2
    assert (found.known.included == members.included[~np.isin(members.member, [3, 7])]).all()
