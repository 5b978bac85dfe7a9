"""A driver ends when the `mlflow run` that began it is gone, and goes on when another parent is."""

import os
import signal
import subprocess
import time

import psutil
import pytest
from mlflow import MlflowClient
from parts import ROOT

import memreg

TRAIN = ("-P", "dataset=digits", "-P", "model=vgg3-w8", "-P", "members=2000", "-P", "workers=1")


@pytest.fixture
def environment(tmp_path):
    narrow = {"COLUMNS": "20"}  # by which ps cuts what it says of a process
    return os.environ | narrow | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_a_driver_whose_mlflow_run_is_killed_stores_what_it_has_and_ends(tmp_path, environment):
    program = ["mlflow", "run", str(ROOT), "-e", "train", "--env-manager", "local", *TRAIN]
    output = (tmp_path / "output").open("w+")
    launcher = subprocess.Popen(program, cwd=tmp_path, env=environment, stdout=output, stderr=output)
    try:
        drivers = until(lambda: psutil.Process(launcher.pid).children(recursive=True))
        until(lambda: "to train" in (tmp_path / "output").read_text())
        time.sleep(5)
        drivers = psutil.Process(launcher.pid).children(recursive=True)
    finally:
        launcher.kill()
    left = psutil.wait_procs(drivers, timeout=60)[1]
    for driver in left:
        driver.kill()
    assert left == []
    said = (tmp_path / "output").read_text()
    assert "`mlflow run` is gone" in said
    assert "what was trained is kept" in said
    client = MlflowClient(environment["MLFLOW_TRACKING_URI"])
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert list(tmp_path.glob("**/predictions/*.arrow"))


def test_a_driver_of_another_parent_goes_on_without_it(tmp_path, environment):
    """As under nohup, with the run id of an `mlflow run` that is inherited."""
    client = MlflowClient(environment["MLFLOW_TRACKING_URI"])
    run = client.create_run(client.create_experiment("memreg"))
    command = (
        "memreg train --dataset digits+subset=100 --model vgg3-w4 --epochs 1 --members 4 > output 2>&1 & wait"
    )
    inherited = environment | {"MLFLOW_RUN_ID": run.info.run_id}
    shell = subprocess.Popen(["bash", "-c", command], cwd=tmp_path, env=inherited)
    (driver,) = until(lambda: psutil.Process(shell.pid).children())
    shell.send_signal(signal.SIGKILL)
    shell.wait()
    psutil.wait_procs([driver], timeout=120)
    assert len(memreg.Registry(environment["MLFLOW_TRACKING_URI"]).cells("train")) == 1
