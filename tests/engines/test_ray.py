"""The Ray engine on a real cluster of two nodes, both on this machine."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml
from hungry import by_member, hungry, work
from parts import needs
from studies import TINY, run, same_bits, tiny, uri

from memreg.engines import Engine, Job, Resources, engine
from memreg.engines.job import resolve_device
from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.studies.resolved import resolve

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module", autouse=True)
def _ray():
    needs("ray")


@contextlib.contextmanager
def started(*nodes):
    """A cluster of a head with one core, whose driver is this process, and these nodes beside it."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            patch.delenv(name, raising=False)  # where they are measured, Ray's own processes start slowly
        for attempt in range(3):
            cluster = Cluster(initialize_head=True, head_node_args=NODE)
            patch.setenv("RAY_ADDRESS", cluster.address)
            before = signal.getsignal(signal.SIGTERM)
            try:
                engine("ray", Resources())
                assert signal.getsignal(signal.SIGTERM) == before
                if (beside := joined(cluster, nodes, attempt == 2)) is not None:
                    yield cluster, *beside
                    return
            finally:
                ray.shutdown()
                cluster.shutdown()


def joined(cluster, nodes, must):
    """More nodes of a cluster, each of which has run a task that imports torch. Where one does not come to
    it, the logs are printed, and there are none, or where there must be it is an error."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    try:
        beside = [cluster.add_node(**NODE | node) for node in nodes]
        there = [NodeAffinitySchedulingStrategy(node.node_id, soft=False) for node in beside]
        tasks = [ray.remote(num_cpus=1, scheduling_strategy=each)(resolve_device) for each in there]
        assert ray.get([task.remote("cpu") for task in tasks], timeout=120) == ["cpu"] * len(nodes)
    except (RayError, TimeoutError):
        print_logs(cluster.head_node)
        if must:
            raise
        return None
    return beside


def print_logs(node):
    """What the processes of a cluster said last."""
    for path in sorted(Path(node.get_logs_dir_path()).glob("*")):
        if path.name.startswith(("raylet", "gcs_server", "runtime_env_agent", "dashboard_agent")):
            print(f"{path}: {path.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def head():
    """A cluster of one node."""
    with started() as (cluster,):
        yield cluster


@pytest.fixture
def large():
    """Beside the head, a node with four cores that only claims to have a GPU."""
    with started({"num_cpus": 4, "num_gpus": 1}) as (_, node):
        yield node


def jobs(members, **changes):
    (item, *_) = resolve(tiny(**changes).cells)
    dataset = {item.cell.dataset_fingerprint: item.dataset}
    return [Job(item.cell, member) for member in range(members)], dataset


def trainers(node):
    """Processes of a node that are training a member."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for process in psutil.Process(raylet).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("ray::Trainer.train" in part for part in process.cmdline()):
                found.append(process)
    return found


def until(true):
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def two():
    """A head, and a second node; one core each."""
    with started({}) as found:
        yield found


def test_a_node_is_killed_in_the_middle_and_the_bits_are_those_of_local(done, two, tmp_path, monkeypatch):
    import ray

    cluster, second = two
    on_ray = engine("ray", Resources())
    finished, busy, over = [], [], threading.Event()

    def kill():
        """Hold a member of the second node in the middle of its training, and kill the node."""
        while not busy and not over.wait(0.01):
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in trainers(second) if len(finished) >= 20 else ():
                    process.suspend()
                    busy.append(process)
                    cluster.remove_node(second, allow_graceful=False)
                    process.kill()
                    return

    def counted(jobs, datasets):
        for each in on_ray.run(jobs, datasets):
            finished.append(each)
            yield each

    monkeypatch.chdir(tmp_path)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        outcome = run(tiny(), tmp_path, workers=0, on=Engine(counted, "cpu"))
    finally:
        over.set()
        thread.join()
    assert busy
    until(lambda: sum(node["Alive"] for node in ray.nodes()) == 1)
    assert (outcome.cells["members"] == 20).all()
    here, local = Registry(uri(tmp_path)), Registry(uri(done[0]))
    for h in local.cells()["cell"]:
        same_bits(here.predictions(h), local.predictions(h))
        assert here.scores(h).equals(local.scores(h))


def test_a_member_whose_worker_always_dies_is_one_clear_line(head):
    stop = threading.Event()

    def kill():
        while not stop.wait(0.02):
            for process in trainers(head.head_node):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    work, datasets = jobs(1, defaults=TINY["defaults"] | {"epochs": 100_000})
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(MemregError, match="died 3 times while member 0 of vgg3-w8 on digits"):
            list(engine("ray", Resources()).run(work, datasets))
    finally:
        stop.set()
        thread.join()


def test_ctrl_c_ends_what_runs(head, tmp_path):
    import ray

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    command = ["--grid", "tiny.yaml", "--engine", "ray", "--members", "2000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "entrypoints.corr_grid", *command],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob("mlruns/**/*.arrow")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert (
        err.strip().splitlines()[-1]
        == "interrupted: what was trained is kept; run the same command again to go on"
    )
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


def test_four_trainers_share_a_gpu_and_one_that_dies_is_replaced(large):
    from memreg.engines.ray import run_ray

    work, datasets = jobs(12)
    killed, most = [], 0
    found = []
    for each in run_ray(work, datasets, Resources(gpus=0.25), "cpu"):  # torch sees no GPU here
        found.append(each)
        running = trainers(large)
        most = max(most, len(running))
        if len(found) >= 3 and running and not killed:
            running[0].kill()
            killed.append(running[0].pid)
    assert killed
    assert 2 <= most <= 4
    assert sorted(job.member for job, _ in found) == list(range(12))
    same_bits(by_member(found), by_member(engine("local", Resources(workers=1)).run(work, datasets)))


def test_members_that_run_out_of_memory_are_trained_with_fewer_at_once(large, tmp_path, monkeypatch, caplog):
    found = []
    for room in (1, 99):
        grid = hungry(tmp_path / str(room), "cuda", room)
        monkeypatch.chdir(tmp_path / str(room))
        found.append(by_member(engine("ray", Resources()).run(*work(grid, 6))))
    assert found[0].member.tolist() == list(range(6))
    same_bits(*found)
    said = [record.getMessage() for record in caplog.records if record.name == "memreg.engines.ray"]
    assert 1 <= len(said) <= 2
    assert all(re.match(r"out of memory while .* half as many members at once$", s) for s in said)


def test_a_member_that_runs_out_of_memory_alone_is_one_line(large, tmp_path, monkeypatch):
    grid = hungry(tmp_path, "driver", 0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MemregError, match=r"^out of memory while member 0 of .*, with no other beside it: "):
        list(engine("ray", Resources()).run(*work(grid, 1)))


def test_a_driver_that_gives_up_at_any_moment_lives_and_its_trainers_end(head):
    import ray

    work, datasets = jobs(40)
    for count in range(8):
        members = engine("ray", Resources()).run(work, datasets)
        for _ in range(count):
            next(members)
        time.sleep(0.05 * count)
        members.close()
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


def test_a_share_of_a_gpu_that_no_node_has_is_refused(head):
    with pytest.raises(MemregError, match=r"no node of the Ray cluster has the 1 CPUs and 0\.25 GPUs"):
        engine("ray", Resources(gpus=0.25))


def test_shares_of_gpus_are_places():
    """On a node that only claims to have a GPU: members are sent there, and it says that there is no CUDA."""
    from memreg.engines.ray import _rooms
    from memreg.engines.trainers import Share

    with started({"num_cpus": 8, "num_gpus": 1}):
        assert sum(_rooms(Share(1, 0.25))) == 4
        assert sum(_rooms(Share(4, 0.25))) == 2
        work, datasets = jobs(2)
        with pytest.raises(MemregError, match=r"^device 'cuda' asked for, but torch sees no CUDA here"):
            list(engine("ray", Resources(gpus=0.25)).run(work, datasets))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "does not answer"),
        ("nonsense", "does not answer"),
        ("ray://127.0.0.1:1", "not through Ray Client"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(tmp_path, address, message):
    process = subprocess.run(
        [sys.executable, "-m", "entrypoints.corr_grid", "--engine", "ray"],
        cwd=tmp_path,
        env=os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"memreg: error: the Ray cluster of RAY_ADDRESS={address}")
    assert message in process.stderr
    assert process.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_an_address_it_is_this_machine(tmp_path, done):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY | {"cells": TINY["cells"][:1]}))
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "entrypoints.corr_grid",
            *["--grid", "tiny.yaml", "--engine", "ray", "--workers", "2"],
        ],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        | {"MLFLOW_TRACKING_URI": uri(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "ray" not in process.stderr.lower()
    (cell,) = Registry(uri(tmp_path)).cells()["cell"]
    same_bits(Registry(uri(tmp_path)).predictions(cell), Registry(uri(done[0])).predictions(cell))


@pytest.mark.parametrize(
    ("name", "resources", "message"),
    [
        ("local", Resources(gpus=0.5), "gpus is for engine=ray"),
        ("ray", Resources(device="cuda"), "gpus=0.25"),
        ("ray", Resources(device="cpu", gpus=1), "gpus=0.25"),
        ("dask", Resources(), "unknown engine 'dask': one of local, ray"),
    ],
)
def test_what_an_engine_cannot_give_is_refused(name, resources, message):
    with pytest.raises(MemregError, match=message):
        engine(name, resources)
