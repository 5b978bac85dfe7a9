"""The main path, for real: train, store, score, correlate, resume."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.feather
import pytest
import torch
from studies import TINY, run, same_bits, tiny, uri

from memreg.errors import MemregError, TakenError
from memreg.registry import CellWriter, Registry


def test_runs_are_the_contract_read_without_memreg(done):
    directory, outcome = done
    client = mlflow.MlflowClient(uri(directory))
    study = client.get_run(outcome.run_id)
    tags = {k: v for k, v in study.data.tags.items() if k.startswith("memreg.")}
    assert json.loads(tags.pop("memreg.driver"))["study"] == study.info.run_id
    assert tags.pop("memreg.versions").startswith("Python 3.")
    assert tags.pop("memreg.cells").split(",") == outcome.cells["cell"].tolist()
    assert tags == {
        "memreg.kind": "study",
        "memreg.study": "tiny",
        "memreg.grid": "tiny",
    }
    assert client.get_experiment(study.info.experiment_id).name == "memreg"
    for statistic in ("memorized_fraction_0.25", "mean_score"):
        for suffix in ("", "_low", "_high"):
            assert f"pearson/{statistic}{suffix}" in study.data.metrics
    names = {f.path for f in client.list_artifacts(study.info.run_id)}
    assert {"report.html", "cells.parquet", "correlation.json", "figures"} <= names
    cells = client.search_runs([study.info.experiment_id], "tags.`memreg.kind` = 'cell'")
    assert len(cells) == 4
    for cell in cells:
        tags, data = cell.data.tags, cell.data
        assert tags["mlflow.parentRunId"] == study.info.run_id
        assert tags["memreg.status"] == "complete"
        assert tags["memreg.study"] == "tiny"
        assert tags["memreg.held_by/tiny"].startswith(f"{study.info.run_id} ")
        assert len(tags["memreg.cell"]) == len(tags["memreg.dataset_fingerprint"]) == 64
        assert "mlflow.note.content" in tags
        assert cell.info.status == "FINISHED"
        expected = (
            "dataset model parameters weight_decay augmentation design r epochs batch_size learning_rate"
        )
        assert set(expected.split()) <= data.params.keys()
        assert "members" not in data.params
        expected = "members test_accuracy included_accuracy excluded_accuracy mean_score train_seconds"
        assert set(expected.split()) <= data.metrics.keys()
        for kind in ("memorized", "counted"):
            assert {f"{kind}_fraction/{t / 100:.2f}" for t in range(5, 100, 5)} <= data.metrics.keys()
        low, high = (data.metrics[f"memorized_fraction_{end}/0.25"] for end in ("low", "high"))
        assert 0 <= low <= data.metrics["memorized_fraction/0.25"] <= high <= 1
        assert tags["memreg.metrics"] == "2"
        assert tags["memreg.steps"] == f"eager on a CPU with {torch.backends.cpu.get_cpu_capability()}"
        series = client.get_metric_history(cell.info.run_id, "member/test_accuracy")
        assert [m.step for m in sorted(series, key=lambda m: m.step)] == list(range(20))
        assert np.mean([m.value for m in series]) == pytest.approx(data.metrics["test_accuracy"])
        assert cell.inputs.dataset_inputs[0].dataset.name == data.params["dataset"]
        files = {f.path for f in client.list_artifacts(cell.info.run_id)}
        assert {"cell.json", "predictions", "scores.parquet", "examples.parquet"} <= files


def test_scores_and_r_recomputed_from_the_shards_alone(done):
    directory, outcome = done
    client = mlflow.MlflowClient(uri(directory))
    fractions, accuracies = [], []
    for run_id in outcome.cells["run_id"]:
        root = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
        labels = pd.read_parquet(root / "examples.parquet")["label"].to_numpy()
        tables = [pyarrow.feather.read_table(p) for p in sorted((root / "predictions").glob("*.arrow"))]
        included, predicted = (
            np.concatenate([np.array(t[c].to_pylist()) for t in tables]) for c in ("included", "predicted")
        )
        correct = predicted == labels
        n = included.shape[1]
        inside, outside = included, ~included
        p1 = (inside & correct[:, :n]).sum(0) / inside.sum(0)
        p0 = (outside & correct[:, :n]).sum(0) / outside.sum(0)
        stored = pd.read_parquet(root / "scores.parquet")
        assert np.abs(stored["score"] - (p1 - p0)).max() < 1e-6
        columns = "example label score standard_error low high included_count excluded_count "
        assert stored.columns.tolist() == (columns + "included_accuracy excluded_accuracy").split()
        fractions.append((p1 - p0 >= 0.25 - 1e-9).mean())
        accuracies.append(correct[:, n:].mean())
    stored = json.loads(Path(artifact(client, outcome.run_id, "correlation.json")).read_text())
    r = stored["pooled"]["counted_fraction/0.25"]["r"]
    assert r == pytest.approx(np.corrcoef(accuracies, fractions)[0, 1], abs=1e-6)


def artifact(client, run_id, name):
    return client.download_artifacts(run_id, name)


def test_registry_answers(done):
    directory, outcome = done
    registry = Registry(uri(directory))
    cells = registry.cells(study="tiny")
    assert cells["cell"].tolist() == outcome.cells["cell"].tolist()
    assert registry.cells().shape[0] == 4
    assert registry.cells(outcome.run_id).equals(cells)
    hash_ = cells["cell"][0]
    assert cells["members"].dtype == float
    assert cells["epochs"].tolist() == [2, 2, 4, 2]
    for name in (hash_, hash_[:8], cells["run_id"][0]):
        assert len(registry.scores(name)) == 300
    predictions = registry.predictions(hash_)
    assert predictions.member.tolist() == list(range(20))
    assert predictions.included.shape == (20, 300)
    assert predictions.p_label.shape == (20, 800)
    examples = registry.cell(cells["cell"][3]).examples
    assert (examples["clean_label"] != examples["label"]).sum() == 60
    for wrong in ("nothing", "abcdef123", "it's"):
        with pytest.raises(MemregError):
            registry.scores(wrong)
        with pytest.raises(MemregError):
            registry.cells(wrong)


def test_a_truncated_artifact_is_refused_by_readers_and_mended_by_the_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run(tiny(members=10), tmp_path)
    registry = Registry(uri(tmp_path))
    hash_ = first.cells["cell"][0]
    truth = registry.scores(hash_)
    (shard,) = tmp_path.glob(f"mlruns/*/{first.cells['run_id'][0]}/artifacts/predictions/*.arrow")
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(MemregError, match="damaged prediction shard"):
        registry.predictions(hash_)
    again = run(tiny(members=10), tmp_path)
    assert again.cells["run_id"].tolist() == first.cells["run_id"].tolist()
    assert registry.scores(hash_).equals(truth)
    assert registry.predictions(hash_).member.tolist() == list(range(10))


def test_a_cell_whose_shards_are_not_those_that_were_stored_is_not_called_complete(tmp_path, monkeypatch):
    """As when a driver that was thought dead writes over the shards of the one that took over."""
    monkeypatch.chdir(tmp_path)
    store = CellWriter.store

    def overwritten(writer, predictions, series):
        store(writer, predictions, series)
        store(writer, predictions[:-1], {})

    monkeypatch.setattr(CellWriter, "store", overwritten)
    with pytest.raises(TakenError, match="another driver has stored members of it too"):
        run(tiny(members=10), tmp_path)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(tiny(members=10), tmp_path).cells["members"].tolist() == [10, 10, 10, 10]


def test_growing_trains_only_the_new_members_and_ends_like_one_go(tmp_path, monkeypatch, done):
    monkeypatch.chdir(tmp_path)
    run(tiny(members=10), tmp_path)
    registry = Registry(uri(tmp_path))
    small = registry.cells()["cell"].tolist()
    shards = sorted(p.name for p in tmp_path.glob("mlruns/**/predictions/*.arrow"))
    before = {h: registry.predictions(h) for h in small}
    grown = run(tiny(members=20), tmp_path, study="grown")
    assert grown.cells["cell"].tolist() == small
    assert grown.cells["members"].tolist() == [20, 20, 20, 20]
    assert set(shards) < {p.name for p in tmp_path.glob("mlruns/**/predictions/*.arrow")}
    whole = Registry(uri(done[0]))
    for h in small:
        same_bits(registry.predictions(h), whole.predictions(h))
        assert registry.scores(h).equals(whole.scores(h))
        assert (registry.predictions(h).p_label[:10] == before[h].p_label).all()
    client = mlflow.MlflowClient(uri(tmp_path))
    parents = {client.get_run(r).data.tags["mlflow.parentRunId"] for r in grown.cells["run_id"]}
    assert parents == {grown.run_id}


def test_cells_of_older_memregs_are_read_as_what_they_are_and_grow_with_their_masks(tmp_path, monkeypatch):
    """Before, subsets had one rule and no version, and memorized fractions were counted ones."""
    monkeypatch.chdir(tmp_path)
    one = {"cells": TINY["cells"][:1], "name": "old"}
    old = {**one, "defaults": {**TINY["defaults"], "design_version": 1}}
    run(tiny(**old, members=20), tmp_path)
    registry = Registry(uri(tmp_path))
    (run_id,), (hash_,) = (registry.cells()[key].tolist() for key in ("run_id", "cell"))
    client = mlflow.MlflowClient(uri(tmp_path))
    assert "version" not in json.loads(Path(artifact(client, run_id, "cell.json")).read_text())["design"]
    assert "design_version" not in client.get_run(run_id).data.params
    client.delete_tag(run_id, "memreg.metrics")
    client.log_metric(run_id, "memorized_fraction/0.25", 0.4)

    known = Registry(uri(tmp_path)).cells().iloc[0]
    assert known["counted_fraction/0.25"] == 0.4
    assert "memorized_fraction/0.25" not in known
    assert Registry(uri(tmp_path)).cells(columns=["counted_fraction/0.25"])["counted_fraction/0.25"][0] == 0.4
    before = registry.predictions(hash_)
    design = registry.cell(hash_).cell.design
    assert (before.included == np.stack([design.included(m, 300) for m in range(20)])).all()

    again = run(tiny(**old, members=20), tmp_path, study="again").cells.iloc[0]
    assert again["cell"] == hash_
    assert client.get_run(run_id).data.tags["memreg.metrics"] == "2"
    assert again["memorized_fraction/0.25"] != 0.4
    same_bits(Registry(uri(tmp_path)).predictions(hash_), before)

    grown = run(tiny(**old, members=30), tmp_path, study="grown")
    after = Registry(uri(tmp_path)).predictions(hash_)
    assert grown.cells["cell"].tolist() == [hash_]
    assert (after.included[:20] == before.included).all()
    assert (after.included == np.stack([design.included(m, 300) for m in range(30)])).all()
    new = run(tiny(**one, members=10), tmp_path, study="new")
    assert new.cells["cell"].tolist() != [hash_]
