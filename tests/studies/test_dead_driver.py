"""A driver may die between any two of the things that it writes."""

import shutil

import mlflow
import pandas as pd
import pytest
from studies import same_bits, tiny, uri

from memreg.engines import Engine
from memreg.engines.worker import run_job
from memreg.questions import corr_grid
from memreg.registry import Registry, artifacts, leases
from memreg.registry.connection import connect
from memreg.show.terminal import Reporter
from memreg.studies import cell_training
from memreg.studies.study import Where

WRITES = ("create_experiment", "create_run", "update_run", "set_terminated")
WRITES += ("log_batch", "log_inputs", "set_tag", "delete_tag")


class Dead(BaseException):
    """As SIGKILL: nothing is written from here on."""


def here(jobs, datasets):
    """An engine: members trained in this process, so that hundreds of studies take seconds."""
    for job in jobs:
        yield job, run_job(job, datasets[job.cell.dataset_fingerprint], "cpu", "memory")


def run(directory, monkeypatch):
    monkeypatch.chdir(directory)
    grid = tiny(members=4, cells=[{"dataset": "digits+subset=100", "epochs": 2, "batch_size": 32}])
    where = Where(Engine(here, "cpu"), tracking_uri=uri(directory))
    with Reporter() as reporter:
        return corr_grid.run_grid(grid, "tiny", where, reporter)


def dying(monkeypatch, after):
    """Let so many writes through, and none after; the number of those asked for."""
    asked = []

    def write(do):
        def counted(*arguments, **named):
            asked.append(do)
            if len(asked) > after:
                raise Dead
            return do(*arguments, **named)

        return counted

    for name in WRITES:
        monkeypatch.setattr(mlflow.MlflowClient, name, write(getattr(mlflow.MlflowClient, name)))
    monkeypatch.setattr(artifacts, "write_atomically", write(artifacts.write_atomically))
    return asked


def seen(directory):
    """All that the registry says of the cell, but what differs from run to run."""
    registry, client = Registry(uri(directory)), mlflow.MlflowClient(uri(directory))
    (run,) = client.search_runs(["1"], "tags.`memreg.kind` = 'cell'")
    root = directory / "mlruns" / "1" / run.info.run_id / "artifacts"
    curve = client.get_metric_history(run.info.run_id, "epoch/train_loss")
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {k: v for k, v in run.data.metrics.items() if k.rpartition("/")[2] != "train_seconds"},
        "inputs": [i.dataset.digest for i in run.inputs.dataset_inputs],
        "tags": run.data.tags.keys() - {"memreg.lease"},
        "curve": {(m.step, m.value) for m in curve},
        "files": sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()),
        "cell.json": (root / "cell.json").read_bytes(),
        "examples": pd.read_parquet(root / "examples.parquet").to_dict(),
        "scores": registry.scores(run.data.tags["memreg.cell"]).to_csv(),
    }


def test_it_goes_on_after_a_death_between_any_two_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_training, "FLUSH_MEMBERS", 2)
    monkeypatch.setattr(leases, "BEAT", 1000.0)
    monkeypatch.setattr(leases, "EXPIRY", 0.0)  # the process that has died is this one
    empty, whole = tmp_path / "empty", tmp_path / "whole"
    empty.mkdir()
    connect(uri(empty), create=True)
    shutil.copytree(empty, whole)
    with monkeypatch.context() as patch:
        writes = dying(patch, 10**6)
        run(whole, patch)
    assert len(writes) > 15
    expected = seen(whole)
    predictions = Registry(uri(whole)).predictions(Registry(uri(whole)).cells()["cell"][0])
    for after in range(len(writes)):
        directory = tmp_path / str(after)
        shutil.copytree(empty, directory)
        with monkeypatch.context() as patch:
            dying(patch, after)
            with pytest.raises(Dead):
                run(directory, patch)
        with monkeypatch.context() as patch:
            run(directory, patch)
        found = seen(directory)
        assert {key for key in found if found[key] != expected[key]} == set(), after
        registry = Registry(uri(directory))
        same_bits(registry.predictions(registry.cells()["cell"][0]), predictions)
