"""A tiny study as a subprocess, in a directory of its own: started, hurt, completed, and compared."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml
from mlflow import MlflowClient
from studies import same_bits

from memreg.registry import Registry

ROOT = Path(__file__).parents[2]
MEMBERS = 12
GRID = {
    "name": "tiny",
    "description": "Three cells.",
    "members": MEMBERS,
    "defaults": {"epochs": 20, "batch_size": 128, "learning_rate": 0.2, "model": "vgg3-w8"},
    "cells": [
        {"dataset": "digits+subset=300", "augmentation": 0},
        {"dataset": "digits+subset=300+noise=0.2", "augmentation": 0},
        {"dataset": "digits+subset=300", "augmentation": 0, "learning_rate": 100},  # most members diverge
    ],
}
DRIVER = """
import sys
from memreg import options, study
study.FLUSH_MEMBERS = 3  # a shard for every three members, so that there is much to lose
from entrypoints.corr_grid import corr_grid
sys.argv = ["corr_grid", "--grid", "tiny.yaml", "--workers", "2"]
options.run(corr_grid)
"""


@dataclass
class Fault:
    """One that was injected: its kind, and what was seen of it."""

    kind: str
    seen: str


@dataclass
class Scene:
    directory: Path
    rng: np.random.Generator
    uri: str = ""
    faults: list[Fault] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    """What the scene needs until it has been compared: a server, a file system."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.uri = self.uri or f"sqlite:///{self.directory}/mlflow.db"

    def start(self, program: str = DRIVER, **environment: str) -> subprocess.Popen[str]:
        (self.directory / "tiny.yaml").write_text(yaml.safe_dump(GRID))
        own = {"MLFLOW_TRACKING_URI": self.uri, "PYTHONPATH": str(ROOT), "GIT_PYTHON_REFRESH": "quiet"}
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=self.directory,
            env=os.environ | own | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def shards(self) -> list[Path]:
        """In the order of their names: complete ones, whole or damaged later."""
        return sorted(p for p in self.directory.rglob("predictions/*.arrow") if not p.name.startswith("."))

    def until(self, process: subprocess.Popen[str], shards: int) -> bool:
        """Wait for so many shards; whether the study still runs then. The moment after it is random."""
        while process.poll() is None and len(self.shards()) < shards:
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, 0.3))
        return process.poll() is None

    def some_shards(self, most: int = 8) -> int:
        return int(self.rng.integers(0, most))

    def workers(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        """The processes that train: children of the process that they were forked from."""
        try:
            grandchildren = [g for c in psutil.Process(process.pid).children() for g in c.children()]
        except psutil.NoSuchProcess:
            return []
        return [p for p in grandchildren if p.status() != psutil.STATUS_ZOMBIE]

    def note(self, kind: str, seen: str) -> None:
        self.faults.append(Fault(kind, seen))

    def ended(self, process: subprocess.Popen[str], kind: str, status: tuple[int, ...] = (0, 2)) -> str:
        """Wait for the end of a study that was hurt: it completed, or it says why not in one line."""
        _, err = process.communicate(timeout=600)
        lines = said(err)
        assert process.returncode in status, (kind, process.returncode, err)
        assert "Traceback" not in err, (kind, err)
        if process.returncode == 2:
            assert len(lines) == 1, (kind, err)
            assert lines[0].startswith("memreg: error: "), (kind, err)
            return lines[0].removeprefix("memreg: error: ")
        return "it completed" if process.returncode == 0 else (lines or [f"status {process.returncode}"])[-1]

    def complete(self) -> None:
        """The same command completes, and loses no shard that is there and whole."""
        before = {path: digest(path) for path in self.shards()}
        process = self.start()
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        damaged = {line.split(": ")[1] for line in out.splitlines() if line.startswith("warning: ")}
        lost = [p for p, d in before.items() if str(p) not in damaged and not (p.exists() and digest(p) == d)]
        assert not lost, lost

    def check(self, undisturbed: "Scene") -> None:
        """All members are in, and predictions and scores are the undisturbed study's to the bit."""
        here, there = Registry(self.uri), Registry(undisturbed.uri)
        cells = there.cells()
        mine = here.cells().set_index("cell")
        assert sorted(mine.index) == sorted(cells["cell"])
        client = MlflowClient(self.uri)
        for h in cells["cell"]:
            assert here.predictions(h).member.tolist() == list(range(MEMBERS))
            same_bits(here.predictions(h), there.predictions(h))
            assert here.scores(h).equals(there.scores(h))
            history = client.get_metric_history(mine.loc[h, "run_id"], "member/test_accuracy")
            kept = np.flatnonzero(~here.predictions(h).diverged)
            assert {m.step for m in history} >= set(kept)
            assert mine.loc[h, "members"] == len(kept)
            assert mine.loc[h, "diverged"] == MEMBERS - len(kept)
            counts = here.scores(h)[["included_count", "excluded_count"]].sum(axis=1)
            assert (counts == len(kept)).all()
        statuses = {r.info.status for r in client.search_runs(["1"], "tags.`memreg.kind` = 'cell'")}
        assert statuses == {"FINISHED"}


def said(err: str) -> list[str]:
    """The lines of stderr that are memreg's: MLflow logs its own, beginning with a date."""
    return [line for line in err.splitlines() if line.strip() and not line.startswith("20")]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop(process: subprocess.Popen[str]) -> None:
    """End a process and all of its session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
