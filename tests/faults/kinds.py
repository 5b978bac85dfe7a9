"""The kinds of fault. Each takes a scene, hurts it some times at random moments, and notes what was seen."""

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from scene import DRIVER, MEMBERS, Scene, stop

from memreg.registry import Registry

KINDS: dict[str, Callable[[Scene, int], None]] = {}
"""Name -> (scene, how often). More faults may be noted than asked for, never fewer."""


def kind(name: str) -> Callable[[Callable[[Scene, int], None]], Callable[[Scene, int], None]]:
    def add(function: Callable[[Scene, int], None]) -> Callable[[Scene, int], None]:
        KINDS[name] = function
        return function

    return add


@kind("driver SIGKILL")
def driver_killed(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start()
        if scene.rng.random() < 0.3:
            time.sleep(scene.rng.uniform(0, 8))
        else:
            scene.until(process, len(scene.shards()) + scene.some_shards(4))
        stop(process)
        scene.note("driver SIGKILL", f"{len(scene.shards())} shards stored")


@kind("driver SIGTERM, SIGINT")
def driver_interrupted(scene: Scene, times: int) -> None:
    for i in range(times):
        number = (signal.SIGTERM, signal.SIGINT)[i % 2]
        process = scene.start()
        scene.until(process, len(scene.shards()) + scene.some_shards(4))
        process.send_signal(number)
        seen = scene.ended(process, "interrupted", (0, 130))
        scene.note("driver SIGTERM, SIGINT", f"{number.name}: {seen}")


@kind("interrupted while it imports")
def interrupted_early(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start(EARLY)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(scene.rng.uniform(0, 1))
        process.send_signal(signal.SIGINT)
        scene.note("interrupted while it imports", scene.ended(process, "early", (130,)))


EARLY = f"""
import runpy, sys
print("running", flush=True)
sys.argv = ["-m", "--grid", "tiny.yaml", "--workers", "2"]
import entrypoints
{DRIVER}
"""


@kind("worker SIGKILL")
def worker_killed(scene: Scene, times: int) -> None:
    while times > 0:
        process = scene.start()
        while times > 0 and scene.until(process, len(scene.shards()) + 1):
            if workers := scene.workers(process):
                with suppress(psutil.NoSuchProcess):
                    workers[scene.rng.integers(len(workers))].kill()
                    times -= 1
                    scene.note("worker SIGKILL", "")
        seen = scene.ended(process, "worker killed", (0,))
        for fault in scene.faults:
            fault.seen = fault.seen or seen


@kind("every worker SIGKILL, again and again")
def workers_always_killed(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start()
        scene.until(process, len(scene.shards()) + scene.some_shards(3))
        while process.poll() is None:
            for worker in scene.workers(process):
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            time.sleep(0.02)
        scene.note("every worker SIGKILL, again and again", scene.ended(process, "always killed"))


@kind("worker out of memory (RLIMIT_AS)")
def out_of_memory(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start()
        running = scene.until(process, len(scene.shards()) + scene.some_shards(3))
        for worker in scene.workers(process) if running else ():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                resource.prlimit(worker.pid, resource.RLIMIT_AS, (2**20, 2**20))
        scene.note("worker out of memory (RLIMIT_AS)", scene.ended(process, "memory"))


@kind("member's loss NaN")
def diverged(scene: Scene, times: int) -> None:
    """One cell's learning rate makes most members diverge; here drivers that train it are killed as well."""
    for _ in range(times):
        process = scene.start()
        scene.until(process, len(scene.shards()) + 4)
        stop(process)
    scene.complete()
    registry = Registry(scene.uri)
    table = registry.cells().set_index("cell")
    found = int(table["diverged"].sum())
    assert 0 < found < table["diverged"].astype(bool).sum() * MEMBERS
    for _ in range(found):
        scene.note("member's loss NaN", "kept, counted as diverged, not in the scores")


@kind("suspended (SIGSTOP) for a while")
def suspended(scene: Scene, times: int) -> None:
    process = scene.start()
    for _ in range(times):
        scene.until(process, len(scene.shards()) + scene.some_shards(3))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(scene.rng.uniform(0.5, 2))
            os.killpg(process.pid, signal.SIGCONT)
        scene.note("suspended (SIGSTOP) for a while", "it completed")
    scene.ended(process, "suspended", (0,))


@kind("database locked for a while")
def database_locked(scene: Scene, times: int) -> None:
    while times > 0:
        process = scene.start()
        locks = 0
        while locks < times and scene.until(process, len(scene.shards()) + 1):
            with locked(scene):
                time.sleep(scene.rng.uniform(0.5, 2.5))
            locks += 1
        seen = scene.ended(process, "locked")
        for _ in range(locks):
            scene.note("database locked for a while", seen)
        times -= locks


@kind("database locked for long")
def database_locked_for_long(scene: Scene, times: int) -> None:
    for _ in range(times):
        process = scene.start()
        scene.until(process, len(scene.shards()) + scene.some_shards(2))
        with suppress(sqlite3.OperationalError), locked(scene):
            seen = scene.ended(process, "locked")
            scene.note("database locked for long", seen)


@contextmanager
def locked(scene: Scene) -> Iterator[None]:
    connection = sqlite3.connect(scene.uri.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@kind("disk full")
def disk_full(scene: Scene, times: int) -> None:
    """The study's directory is a file system of 24 MB, and something else fills it."""
    scene.stack.enter_context(mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs", str(scene.directory)))
    filler = scene.directory / "filler"
    for _ in range(times):
        process = scene.start()
        scene.until(process, len(scene.shards()) + scene.some_shards(4))
        with suppress(OSError), filler.open("wb") as file:
            while process.poll() is None:
                file.write(bytes(2**14))
                file.flush()
        seen = scene.ended(process, "full")
        filler.unlink()
        scene.note("disk full", seen)


@kind("artifact store read-only")
def read_only(scene: Scene, times: int) -> None:
    artifacts = scene.directory / "mlruns"
    artifacts.mkdir()
    for _ in range(times):
        process = scene.start()
        scene.until(process, len(scene.shards()) + scene.some_shards(4))
        with mounted("--bind", str(artifacts), str(artifacts)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(artifacts)], check=True)
            seen = scene.ended(process, "read-only")
        scene.note("artifact store read-only", seen)


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
    server = scene.stack.enter_context(Server(scene))
    while times > 0:
        process = scene.start()
        outages = 0
        while outages < times and scene.until(process, len(scene.shards()) + scene.some_shards(2)):
            server.kill()
            time.sleep(scene.rng.uniform(0.5, 10))
            server.start()
            outages += 1
        seen = scene.ended(process, "down")
        for _ in range(outages):
            scene.note("tracking server down and back", seen)
        times -= outages


@kind("tracking server down for long")
def server_gone(scene: Scene, times: int) -> None:
    server = scene.stack.enter_context(Server(scene))
    for _ in range(times):
        process = scene.start(MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
        scene.until(process, len(scene.shards()) + scene.some_shards(3))
        server.kill()
        seen = scene.ended(process, "gone")
        server.start()
        scene.note("tracking server down for long", seen)


class Server:
    """An `mlflow server`, all of it in the scene's directory, which the scene then uses."""

    def __init__(self, scene: Scene) -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.directory = scene.directory
        scene.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = f"--port {self.port} --workers 1 --backend-store-uri sqlite:///mlflow.db"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options.split(), "--artifacts-destination", "mlruns"],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        while self.process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2)
                return
            time.sleep(0.2)
        raise AssertionError("mlflow server does not start")

    def kill(self) -> None:
        stop(self.process)

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.process)


def damage(name: str) -> Callable[[Callable[[Scene, Path], None]], Callable[[Scene, Path], None]]:
    """A kind that damages a random shard of a study that is complete, or was killed on the way."""

    def add(function: Callable[[Scene, Path], None]) -> Callable[[Scene, Path], None]:
        @kind(name)
        def hurt(scene: Scene, times: int) -> None:
            process = scene.start()
            running = scene.until(process, 6)
            if running and scene.rng.random() < 0.5:
                stop(process)
            process.wait()
            shards = scene.shards()
            for i in scene.rng.permutation(len(shards))[:times]:
                function(scene, shards[i])
                scene.note(name, "")
            process = scene.start()
            out, _ = process.communicate(timeout=600)
            said = [line.removeprefix("warning: ") for line in out.splitlines() if line.startswith("warning")]
            for fault in scene.faults:
                fault.seen = said.pop(0).rpartition("/")[2] if said else "nothing to repair"

        return function

    return add


@damage("shard truncated")
def truncated(scene: Scene, shard: Path) -> None:
    with shard.open("r+b") as file:
        file.truncate(int(scene.rng.integers(shard.stat().st_size)))


@damage("shard bit-flipped")
def flipped(scene: Scene, shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    data[scene.rng.integers(len(data))] ^= 1 << int(scene.rng.integers(8))
    shard.write_bytes(data)


@damage("shard deleted")
def deleted(scene: Scene, shard: Path) -> None:
    shard.unlink()


@damage("shards swapped between cells")
def swapped(scene: Scene, shard: Path) -> None:
    others = [p for p in scene.shards() if p.parent != shard.parent]
    other = others[scene.rng.integers(len(others))]
    kept = shard.read_bytes()
    shard.write_bytes(other.read_bytes())
    other.write_bytes(kept)
