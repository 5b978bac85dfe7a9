"""The main path, for real: train, store, score, correlate, resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.feather
import pytest
from studies import run, tiny, uri

from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.registry.shards import COLUMNS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study: (directory, outcome)."""
    directory = tmp_path_factory.mktemp("study")
    before = Path.cwd()
    os.chdir(directory)
    yield directory, run(tiny(), directory)
    os.chdir(before)


def test_runs_are_the_contract_read_without_memreg(done):
    directory, outcome = done
    client = mlflow.MlflowClient(uri(directory))
    study = client.get_run(outcome.run_id)
    assert {k: v for k, v in study.data.tags.items() if k.startswith("memreg.")} == {
        "memreg.kind": "study",
        "memreg.study": "tiny",
        "memreg.grid": "tiny",
    }
    assert client.get_experiment(study.info.experiment_id).name == "memreg"
    for statistic in ("memorized_fraction_0.25", "mean_score"):
        for suffix in ("", "_low", "_high"):
            assert f"pearson/{statistic}{suffix}" in study.data.metrics or suffix
    names = {f.path for f in client.list_artifacts(study.info.run_id)}
    assert {"cells.parquet", "correlation.json", "figures"} <= names
    cells = client.search_runs([study.info.experiment_id], "tags.`memreg.kind` = 'cell'")
    assert len(cells) == 3
    for cell in cells:
        tags, data = cell.data.tags, cell.data
        assert tags["mlflow.parentRunId"] == study.info.run_id
        assert tags["memreg.status"] == "complete"
        assert tags["memreg.study"] == "tiny"
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
        assert {f"memorized_fraction/{t / 100:.2f}" for t in range(5, 100, 5)} <= data.metrics.keys()
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
    r = stored["pooled"]["memorized_fraction/0.25"]["r"]
    assert r == pytest.approx(np.corrcoef(accuracies, fractions)[0, 1], abs=1e-6)


def artifact(client, run_id, name):
    return client.download_artifacts(run_id, name)


def test_registry_answers(done):
    directory, outcome = done
    registry = Registry(uri(directory))
    cells = registry.cells(study="tiny")
    assert cells["cell"].tolist() == outcome.cells["cell"].tolist()
    assert registry.cells().shape[0] == 3
    assert registry.cells(outcome.run_id).equals(cells)
    hash_ = cells["cell"][0]
    assert cells["members"].dtype == float
    assert cells["epochs"].tolist() == [2, 2, 2]
    for name in (hash_, hash_[:8], cells["run_id"][0]):
        assert len(registry.scores(name)) == 300
    predictions = registry.predictions(hash_)
    assert predictions.member.tolist() == list(range(20))
    assert predictions.included.shape == (20, 300)
    assert predictions.p_label.shape == (20, 800)
    examples = registry.examples(cells["cell"][2])
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


def test_growing_trains_only_the_new_members_and_ends_like_one_go(tmp_path, monkeypatch, done):
    monkeypatch.chdir(tmp_path)
    run(tiny(members=10), tmp_path)
    registry = Registry(uri(tmp_path))
    small = registry.cells()["cell"].tolist()
    shards = sorted(p.name for p in tmp_path.glob("mlruns/**/predictions/*.arrow"))
    before = {h: registry.predictions(h) for h in small}
    grown = run(tiny(members=20), tmp_path, study="grown")
    assert grown.cells["cell"].tolist() == small
    assert grown.cells["members"].tolist() == [20, 20, 20]
    assert set(shards) < {p.name for p in tmp_path.glob("mlruns/**/predictions/*.arrow")}
    whole = Registry(uri(done[0]))
    for h in small:
        same_bits(registry.predictions(h), whole.predictions(h))
        assert registry.scores(h).equals(whole.scores(h))
        assert (registry.predictions(h).p_label[:10] == before[h].p_label).all()
    client = mlflow.MlflowClient(uri(tmp_path))
    parents = {client.get_run(r).data.tags["mlflow.parentRunId"] for r in grown.cells["run_id"]}
    assert parents == {grown.run_id}


def same_bits(a, b):
    for name in COLUMNS:
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes(), name


GRID = """
name: tiny
members: 20
defaults: {epochs: 2, batch_size: 128, learning_rate: 0.2, model: vgg3-w8}
cells:
  - {dataset: digits+subset=300}
  - {dataset: digits+subset=300, augmentation: 0}
  - {dataset: digits+subset=300+noise=0.2, augmentation: 0}
"""


def start(directory, **environment):
    (directory / "tiny.yaml").write_text(GRID)
    return subprocess.Popen(
        [sys.executable, "-m", "entrypoints.corr_grid", "--grid", "tiny.yaml"],
        cwd=directory,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri(directory), "PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, done):
    rng = np.random.default_rng(int(os.environ.get("MEMREG_SEED", "0")))
    kills = 0
    for _ in range(4):
        process = start(tmp_path)
        try:
            process.communicate(timeout=rng.uniform(3, 9))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    assert kills >= 2
    process = start(tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "\x1b" not in out
    killed, whole = Registry(uri(tmp_path)), Registry(uri(done[0]))
    assert sorted(killed.cells()["cell"]) == sorted(whole.cells()["cell"])
    for h in whole.cells()["cell"]:
        same_bits(killed.predictions(h), whole.predictions(h))
        assert killed.scores(h).equals(whole.scores(h))
    series = mlflow.MlflowClient(uri(tmp_path))
    for run_id in killed.cells()["run_id"]:
        history = series.get_metric_history(run_id, "member/test_accuracy")
        assert sorted(m.step for m in history) == list(range(20))


def test_workers_die_with_a_killed_driver(tmp_path):
    process = start(tmp_path)
    time.sleep(7)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while left := in_session(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def in_session(leader):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append((stat.parent / "cmdline").read_bytes())
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_run_running_and_keeps_what_is_trained(tmp_path, number):
    process = start(tmp_path)
    client, deadline = None, time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if (tmp_path / "mlflow.db").exists() and list(tmp_path.glob("mlruns/**/examples.parquet")):
            break
    time.sleep(2)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    client = mlflow.MlflowClient(uri(tmp_path))
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    if process.returncode == 0:
        pytest.fail("it was finished before it could be interrupted")
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted: what was trained is kept, the same command goes on"
    assert "Traceback" not in err
    assert {r.info.status for r in runs} <= {"KILLED", "FINISHED"}
    assert not in_session(process.pid)


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
    assert "over 3 cells of 20 members" in program.stdout
    client = mlflow.MlflowClient(uri(directory))
    (run_,) = client.search_runs([outcome.experiment_id], "tags.`memreg.kind` = 'analysis'")
    assert {"pearson/memorized_fraction_0.50", "pearson/mean_score"} <= run_.data.metrics.keys()
    assert "Identity" in run_.data.tags["mlflow.note.content"]
    figures = {f.path for f in client.list_artifacts(run_.info.run_id, "figures")}
    assert {f"figures/{name}.png" for name in ("correlation", "thresholds", "identity")} <= figures
    client.delete_run(run_.info.run_id)
