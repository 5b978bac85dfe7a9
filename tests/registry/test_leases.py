"""Several drivers on one registry: each cell is trained by one of them, and none is trained twice."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from parts import ROOT
from studies import TINY, same_bits, uri

from memreg.cell import Cell
from memreg.design import Subsets
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.registry import Registry, Store
from memreg.registry.leases import EXPIRY, HEARTBEAT, LEASE, Leases

CELLS = [
    Cell(dataset="x", dataset_fingerprint="f" * 64, recipe=Recipe(model="vgg3-w8"), design=Subsets(seed=s))
    for s in range(3)
]


@pytest.fixture(params=["sqlite", "postgresql", "http"])
def store_uri(request, tmp_path, monkeypatch):
    """A tracking URI that this process and those that it starts use."""
    monkeypatch.chdir(tmp_path)
    environment = {"MLFLOW_TRACKING_URI": uri(tmp_path)}
    if request.param == "postgresql":
        name = "leases_" + re.sub(r"\W", "_", request.node.name)
        environment["MLFLOW_TRACKING_URI"] = request.getfixturevalue("postgres").database(name)
    if request.param == "http":
        environment = request.getfixturevalue("mlflow_server").environment
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    return environment["MLFLOW_TRACKING_URI"]


def start(cells, *arguments, study="tiny", members=20):
    """A driver."""
    grid = Path(f"{study}.yaml")
    grid.write_text(yaml.safe_dump({**TINY, "cells": cells, "members": members}))
    return run_in("entrypoints.corr_grid", "--grid", grid, "--study", study, *arguments)


def run_in(module, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_work(driver):
    """Once a driver has said what it is going to train."""
    line = driver.stdout.readline()
    assert "to train" in line, driver.communicate()
    return driver


def cell_runs(tracking_uri):
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(os.environ["MLFLOW_EXPERIMENT_NAME"])
    return client.search_runs([experiment.experiment_id], "tags.`memreg.kind` = 'cell'")


def test_the_second_driver_says_who_is_at_work_and_stops_and_takes_over_from_the_dead(store_uri, tmp_path):
    first = at_work(start(TINY["cells"][:1], members=5000))
    second = start(TINY["cells"][:2], study="second")
    _, err = second.communicate(timeout=900)
    assert second.returncode == 2, err
    (line,) = err.splitlines()
    expected = (
        rf"memreg: error: \w+ \(study tiny, process {first.pid} on \S+, since [\d-]+ [\d:+]+\) is at work on "
        r"vgg3-w8 on digits\+subset=300: wait=SECONDS waits for that, or start again when it is done"
    )
    assert re.fullmatch(expected, line), line
    assert first.poll() is None
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    again = start(TINY["cells"][:2], study="second")
    out, err = again.communicate(timeout=900)
    assert again.returncode == 0, err
    assert "waiting" not in out
    for run in cell_runs(store_uri):
        assert run.data.tags["memreg.status"] == "complete"
        assert LEASE not in run.data.tags


def test_the_second_driver_waits_as_asked_and_trains_what_is_then_missing(store_uri, done):
    first = at_work(start(TINY["cells"][:1], members=5000))
    second = start(TINY["cells"][:2], "--wait", "900", study="second")
    waiting = rf"waiting: \w+ \(study tiny, process {first.pid} .* is at work on vgg3-w8 on "
    while not re.match(waiting, line := second.stdout.readline()):
        assert line, second.communicate()
    os.kill(first.pid, signal.SIGINT)
    first.communicate()
    _, err = second.communicate(timeout=900)
    assert second.returncode == 0, err
    assert len(cell_runs(store_uri)) == 2
    registry, truth = Registry(), Registry(uri(done[0]))
    for cell in registry.cells("second")["cell"]:
        found, expected = registry.predictions(cell), truth.predictions(cell)
        assert len(set(found.member)) == len(found.member)
        assert found.member[:20].tolist() == list(range(20))
        assert (found.p_label[:20] == expected.p_label).all()


@pytest.mark.parametrize("store_uri", ["sqlite"], indirect=True)
def test_a_search_stops_at_a_cell_that_another_is_at_work_on_and_tries_it_again(store_uri):
    Path("space.yaml").write_text("{model: vgg3-w8, epochs: [2, 4], batch_size: 128, learning_rate: 0.2}")
    first = at_work(start([TINY["cells"][0], TINY["cells"][2]], members=5000))
    words = ["--dataset", "digits+subset=300", "--space", "space.yaml", "--mode", "optimize", "--trials", "1"]
    words += ["--members", "4", "--study", "search"]
    second = run_in("entrypoints.search", *words)
    _, err = second.communicate(timeout=900)
    assert second.returncode == 2, err
    assert re.search(rf"process {first.pid} .* is at work on vgg3-w8 on digits\+subset=300: wait=", err), err
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    first.communicate()
    again = run_in("entrypoints.search", *words)
    out, err = again.communicate(timeout=900)
    assert again.returncode == 0, err
    assert "Best of 1 trials" in out
    runs = cell_runs(store_uri)
    assert len(runs) == 2
    assert [run.data.tags["memreg.trial"] for run in runs if "memreg.trial" in run.data.tags] == ["1"]
    assert not any(LEASE in run.data.tags for run in runs)


@pytest.mark.parametrize("store_uri", ["sqlite", "postgresql"], indirect=True)
def test_eight_studies_at_once_lose_no_member_and_train_none_twice(store_uri, done):
    """One cell is everybody's, two are half of them's, one is each one's own."""
    drivers = []
    for i in range(8):
        own = {"dataset": "digits+subset=300", "design_seed": 100 + i}
        cells = [TINY["cells"][0], TINY["cells"][1 + i % 2], own]
        arguments = ("--wait", "900", "--workers", "1")
        drivers.append(start(cells, *arguments, study=f"study{i}"))
    for driver in drivers:
        _, err = driver.communicate(timeout=900)
        assert driver.returncode == 0, err
        assert "Traceback" not in err
    registry, truth = Registry(), Registry(uri(done[0]))
    runs = cell_runs(store_uri)
    assert len(runs) == 11
    for run in runs:
        assert run.data.metrics["members"] == 20
        cell = run.data.tags["memreg.cell"]
        assert registry.predictions(cell).member.tolist() == list(range(20))
        history = MlflowClient(store_uri).get_metric_history(run.info.run_id, "member/train_seconds")
        assert sorted(m.step for m in history) == list(range(20))
    for cell in truth.cells()["cell"][:3]:
        same_bits(registry.predictions(cell), truth.predictions(cell))
        assert registry.scores(cell).equals(truth.scores(cell))
    for i in range(8):
        assert registry.cells(f"study{i}")["members"].tolist() == [20, 20, 20]


def test_drivers_that_create_a_cell_at_the_same_moment_end_with_one_run_and_one_lease(store_uri, monkeypatch):
    monkeypatch.setattr("memreg.registry.store.SETTLE", 8.0)  # however busy this machine is
    stores = [Store() for _ in range(6)]
    assert stores[0].experiment_id  # created once, before the race
    parents = [store.open_run("study", f"s{i}", {}) for i, store in enumerate(stores)]
    leases = [Leases(store.client, parent.run_id) for store, parent in zip(stores, parents, strict=True)]
    barrier = threading.Barrier(6)

    def claim(store, parent, lease):
        try:
            with lease:
                barrier.wait()
                claims = store.claim([(cell, range(3), None) for cell in CELLS], parent, "s", lease)
                won = [writer.run_id for writer, _ in claims if writer.run_id in lease]
                barrier.wait()
                return won
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(claim, *each) for each in zip(stores, parents, leases, strict=True)]
    won = [run_id for future in futures for run_id in future.result()]
    assert sorted(won) == sorted(run.info.run_id for run in cell_runs(store_uri))
    assert len(won) == 3


def test_drivers_that_open_a_study_at_the_same_moment_end_with_one_run_of_it(store_uri, monkeypatch):
    monkeypatch.setattr("memreg.registry.store.SETTLE", 8.0)  # however busy this machine is
    stores = [Store() for _ in range(3)]
    assert stores[0].experiment_id  # created once, before the race
    barrier = threading.Barrier(3)

    def drive(store):
        barrier.wait()
        with store.open_study("same", {}) as (run, own, leases):
            barrier.wait()
            assert leases.drives()
            barrier.wait()
            return run.run_id, own.run_id

    with ThreadPoolExecutor(3) as pool:
        runs = [future.result() for future in [pool.submit(drive, store) for store in stores]]
    ((study,), owns) = {run for run, _ in runs}, {own for _, own in runs}
    assert study in owns
    assert len(owns) == 3
    client = stores[0].client
    assert {client.get_run(run_id).info.status for run_id in owns} == {"FINISHED"}
    listed = client.search_runs([stores[0].experiment_id], "tags.`memreg.kind` = 'study'")
    assert [run.info.run_id for run in listed] == [study]


@pytest.fixture
def two(store_uri):
    """Two drivers' leases, the first on a cell; and that cell's run."""
    store = Store()
    studies = [store.open_run("study", f"s{i}", {"memreg.study": f"s{i}"}) for i in range(2)]
    first, second = (Leases(store.client, study.run_id) for study in studies)
    with first:
        ((writer, _),) = store.claim([(CELLS[0], range(3), None)], studies[0], "s0", first)
        yield store.client, first, second, writer.run_id, studies[0].run_id


@pytest.mark.parametrize("store_uri", ["sqlite"], indirect=True)
def test_a_lease_ends_with_its_driver(two):
    client, first, second, run_id, study = two

    def at_work():
        return second.at_work(client.get_run(run_id))

    def tell(**changes):
        lease = json.loads(client.get_run(run_id).data.tags[LEASE])
        client.set_tag(run_id, LEASE, json.dumps(lease | changes))

    assert "study s0" in at_work()
    assert first.at_work(client.get_run(run_id)) is None
    client.set_tag(study, HEARTBEAT, str(time.time() - EXPIRY - 1))
    assert at_work() is None
    client.set_tag(study, HEARTBEAT, str(time.time()))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    tell(pid=process.pid)
    assert at_work() is None
    tell(machine="elsewhere 1")
    assert f"process {process.pid} on elsewhere" in at_work()
    client.set_terminated(study, "FAILED")
    assert at_work() is None
    client.set_tag(run_id, LEASE, json.dumps({"study": "0" * 32}))
    assert at_work() is None


@pytest.mark.parametrize("store_uri", ["sqlite"], indirect=True)
def test_a_cell_that_was_never_complete_is_not_read(two):
    registry = Registry()
    for read in (registry.scores, registry.cell, registry.predictions):
        with pytest.raises(
            MemregError, match="is not complete: the command of study 's0' trains the members"
        ):
            read(CELLS[0].hash)


@pytest.mark.parametrize("store_uri", ["sqlite"], indirect=True)
def test_who_has_been_taken_over_from_says_so_and_leaves_the_other_alone(two):
    client, first, second, run_id, _ = two
    first.check(run_id)
    with second:
        second.claim(run_id)
        with pytest.raises(MemregError, match=r"\(study s1, .* has taken over cell .* the same command"):
            first.check(run_id)
        assert run_id not in first
        first.release(run_id)
        second.check(run_id)
    assert LEASE not in client.get_run(run_id).data.tags
