"""The kinds of fault. Each hurts a scene some times, at random moments, and notes what came of it."""

import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from scene import MEMBERS, Scene, stop
from servers import MlflowServer, Postgres, need_postgres

from memreg.registry import Registry

Kind = Callable[[Scene, int], None]
"""(scene, at most how often): fewer where the study completes before."""
KINDS: dict[str, Kind] = {}


def kind(name: str) -> Callable[[Kind], Kind]:
    def add(function: Kind) -> Kind:
        KINDS[name] = function
        return function

    return add


@kind("driver SIGKILL")
def driver_killed(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        if scene.rng.random() < 0.3:
            time.sleep(scene.rng.uniform(0, 8))
        else:
            scene.up_to(process, 4)
        if process.poll() is None:
            stop(process)
            scene.seen.append("killed")
        else:
            scene.ended(process, (0,))


@kind("driver SIGINT, SIGTERM")
def driver_interrupted(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        number = (signal.SIGINT, signal.SIGTERM)[len(scene.seen) % 2]
        if scene.up_to(process, 4):
            process.send_signal(number)
            scene.seen.append(scene.ended(process, (0, 130)))


@kind("driver SIGINT while it imports")
def interrupted_early(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start()
        time.sleep(scene.rng.uniform(0, 1))
        process.send_signal(signal.SIGINT)
        scene.seen.append(scene.ended(process, (130,)))


@kind("worker SIGKILL")
def worker_killed(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        left, killed = times - len(scene.seen), 0
        while killed < left and scene.until(process, 1):
            for worker in scene.workers(process)[:1]:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
                    killed += 1
        scene.seen += killed * [scene.ended(process)]


@kind("all workers SIGKILL, again and again")
def workers_always_killed(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        killed = 0
        running = scene.up_to(process, 3)
        while running and process.poll() is None:
            for worker in scene.workers(process):
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
                    killed += 1
            time.sleep(0.02)
        scene.seen += [scene.ended(process)] * (killed > 0)


@kind("worker out of memory")
def out_of_memory(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        limited = 0
        if scene.up_to(process, 3):
            for worker in scene.workers(process)[: 1 + len(scene.seen) % 2]:
                with suppress(ProcessLookupError):
                    resource.prlimit(worker.pid, resource.RLIMIT_AS, (2**20, 2**20))
                    limited += 1
        scene.seen += [scene.ended(process)] * (limited > 0)


@kind("member whose loss is NaN")
def diverged(scene: Scene, times: int) -> None:
    """One cell's learning rate is such that most of its members diverge, and some do not."""
    scene.complete()
    found = int(Registry(scene.uri).cells()["diverged"].sum())
    assert 0 < found < MEMBERS
    scene.seen += ["kept, counted as diverged, not in the scores"] * found


@kind("driver and workers SIGSTOP for a while")
def suspended(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        left, stopped = times - len(scene.seen), 0
        while stopped < left and scene.up_to(process, 2):
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(scene.rng.uniform(0.5, 2))
            os.killpg(process.pid, signal.SIGCONT)
            stopped += 1
        scene.seen += stopped * [scene.ended(process, (0,))]


@kind("database locked for a while")
def database_locked(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        left, locks = times - len(scene.seen), 0
        while locks < left and scene.until(process, 1):
            with locked(scene):
                time.sleep(scene.rng.uniform(0.5, 5))
            locks += 1
        scene.seen += locks * [scene.ended(process, (0,))]


@kind("database locked for long")
def database_locked_for_long(scene: Scene, times: int) -> None:
    for process in scene.attempts(times):
        if scene.up_to(process, 2):
            with locked(scene):
                said = scene.ended(process)
            scene.seen += [said] * (process.returncode != 0)  # else it had nothing left to write


@contextmanager
def locked(scene: Scene) -> Iterator[None]:
    database = sqlite3.connect(scene.directory / "mlflow.db", timeout=60, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        database.close()


@kind("disk full")
def disk_full(scene: Scene, times: int) -> None:
    """The study's directory is a file system of 24 MB, and something else fills it."""
    scene.stack.enter_context(mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(scene.directory)))
    filler = scene.directory / "filler"
    for process in scene.attempts(times):
        if scene.up_to(process, 3):
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while process.poll() is None:
                    file.write(bytes(2**14))
            scene.seen.append(scene.ended(process))
            filler.unlink()


@kind("artifact store read-only")
def read_only(scene: Scene, times: int) -> None:
    artifacts = scene.directory / "mlruns"
    artifacts.mkdir()
    for process in scene.attempts(times):
        if scene.up_to(process, 3):
            with mounted("--bind", str(artifacts), str(artifacts)):
                again = ["mount", "-o", "remount,ro,bind", str(artifacts)]
                while subprocess.run(again, capture_output=True).returncode:
                    time.sleep(0.01)  # busy: a shard is being written
                scene.seen.append(scene.ended(process))


@contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@kind("tracking server down and back")
def server_down(scene: Scene, times: int) -> None:
    server = served(scene)
    for process in scene.attempts(times):
        left, outages = times - len(scene.seen), 0
        while outages < left and scene.until(process, 1):
            server.stop()
            time.sleep(scene.rng.uniform(0.5, 30) if outages or scene.seen else 30)
            server.start()
            outages += 1
        scene.seen += outages * [scene.ended(process, (0,))]


@kind("tracking server down for long")
def server_gone(scene: Scene, times: int) -> None:
    server = served(scene)
    with patch.dict(os.environ, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1"):
        for process in scene.attempts(times):
            if scene.up_to(process, 3):
                server.stop()
                scene.seen.append(scene.ended(process))
                server.start()


def served(scene: Scene) -> MlflowServer:
    """The scene's registry is behind a server, on a database in its directory."""
    server = MlflowServer(scene.directory, f"sqlite:///{scene.directory}/mlflow.db")
    scene.stack.callback(server.stop)
    scene.stack.enter_context(patch.dict(os.environ, server.environment))
    scene.uri = server.uri
    return server


@kind("PostgreSQL down and back")
def postgres_down(scene: Scene, times: int) -> None:
    need_postgres()
    server = Postgres()
    scene.stack.callback(server.remove)
    scene.uri = server.database("scene")
    for process in scene.attempts(times):
        if scene.up_to(process, 3):
            server.stop()
            time.sleep(scene.rng.uniform(0.1, 3))
            server.start()
            scene.seen.append(scene.ended(process))


ENOUGH = 8  # shards, before some are damaged


def damage(name: str) -> Callable[[Callable[[Path, Path, np.random.Generator], None]], Kind]:
    """A kind that damages random shards of a study that was killed on the way, or is complete.

    The function is given a shard to damage, and a whole one of another cell.
    """

    def add(function: Callable[[Path, Path, np.random.Generator], None]) -> Kind:
        @kind(name)
        def hurt(scene: Scene, times: int) -> None:
            if len(scene.shards()) < ENOUGH:
                process = scene.start()
                if scene.until(process, ENOUGH) and scene.rng.random() < 0.5:
                    stop(process)
                process.communicate()
            scene.survey()
            for _ in range(times):
                whole = scene.whole()
                if len({path.parent for path in whole}) < 2:
                    break
                shard = whole[scene.rng.integers(len(whole))]
                others = [path for path in whole if path.parent != shard.parent]
                other = others[scene.rng.integers(len(others))]
                kept = other.read_bytes()
                function(shard, other, scene.rng)
                scene.damaged[len(scene.seen)] = {shard} if other.read_bytes() == kept else {shard, other}
                scene.seen.append("")

        return hurt

    return add


@damage("shard truncated")
def truncated(shard: Path, other: Path, rng: np.random.Generator) -> None:
    with shard.open("r+b") as file:
        file.truncate(int(rng.integers(shard.stat().st_size)))


@damage("shard with a bit flipped")
def flipped(shard: Path, other: Path, rng: np.random.Generator) -> None:
    data = bytearray(shard.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    shard.write_bytes(data)


@damage("shard deleted")
def deleted(shard: Path, other: Path, rng: np.random.Generator) -> None:
    shard.unlink()


@damage("shards swapped between cells")
def swapped(shard: Path, other: Path, rng: np.random.Generator) -> None:
    kept = shard.read_bytes()
    shard.write_bytes(other.read_bytes())
    other.write_bytes(kept)
