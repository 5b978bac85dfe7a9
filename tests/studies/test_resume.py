"""Killed or interrupted at any moment, a study goes on, and ends with the same bits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from parts import ROOT
from studies import TINY, same_bits, uri

from memreg.registry import Registry


def start(directory, *options):
    (directory / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return subprocess.Popen(
        [sys.executable, "-m", "entrypoints.corr_grid", "--grid", "tiny.yaml", *options],
        cwd=directory,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri(directory), "PYTHONPATH": str(ROOT)},
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
            process.communicate(timeout=rng.uniform(1, 9))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    assert kills >= 2
    process = start(tmp_path)
    out, err = process.communicate(timeout=600)
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
    deadline = time.monotonic() + 300
    while left := in_session(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def in_session(leader):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(command)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_run_running_and_keeps_what_is_trained(tmp_path, number):
    process = start(tmp_path, "--members", "2000")
    while not list(tmp_path.glob("mlruns/**/*.arrow")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert (
        err.strip().splitlines()[-1]
        == "interrupted: what was trained is kept; run the same command again to go on"
    )
    assert "Traceback" not in err
    client = mlflow.MlflowClient(uri(tmp_path))
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert {r.info.status for r in runs} == {"KILLED"}
    assert not in_session(process.pid)
