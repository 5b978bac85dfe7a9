"""A tiny study as a subprocess, in a directory of its own: started, hurt, completed, and compared."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml
from mlflow import MlflowClient
from parts import ROOT
from studies import same_bits

from memreg.registry import Registry

MEMBERS = 12
PATIENCE = 900  # seconds that a study may take on a machine with other things to do
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
PROGRAM = """
import sys
print("running", flush=True)
sys.argv = ["-m", "--grid", "tiny.yaml", "--workers", "2"]
import entrypoints
from memreg import options
from memreg.studies import cell_training
cell_training.FLUSH_MEMBERS = 3  # a shard for every three members, so that there is much to lose
from entrypoints.corr_grid import corr_grid
options.run(corr_grid)
"""


@dataclass
class Scene:
    directory: Path
    rng: np.random.Generator
    uri: str = ""
    seen: list[str] = field(default_factory=list)
    """What came of each fault that was injected."""
    damaged: dict[int, set[Path]] = field(default_factory=dict)
    """Shards that were hurt on purpose, by the fault's index in `seen`."""
    lost: set[Path] = field(default_factory=set)
    """Whole shards that are no more what they were."""
    stack: ExitStack = field(default_factory=ExitStack)
    """What the scene needs until it has been compared: a server, a file system."""
    _safe: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.uri = self.uri or f"sqlite:///{self.directory}/mlflow.db"

    def attempts(self, times: int) -> Iterator[subprocess.Popen[str]]:
        """The study, started until so many faults are injected, or it is complete."""
        wanted = len(self.seen) + times
        while len(self.seen) < wanted:
            process = self.start()
            yield process
            process.wait(timeout=PATIENCE)
            self.survey()
            if process.returncode == 0:
                cells = Registry(self.uri).cells("tiny")
                assert (cells["members"] + cells["diverged"]).tolist() == [MEMBERS] * len(GRID["cells"])
                return

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The one command; it has begun to import when this returns."""
        self.survey()
        (self.directory / "tiny.yaml").write_text(yaml.safe_dump(GRID))
        own = {"MLFLOW_TRACKING_URI": self.uri, "PYTHONPATH": str(ROOT), "GIT_PYTHON_REFRESH": "quiet"}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=self.directory,
            env=os.environ | own | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def shards(self) -> list[Path]:
        """Under their final names, whole or damaged later."""
        return sorted(self.directory.rglob("predictions/[!.]*.arrow"))

    def whole(self) -> list[Path]:
        """Shards that were never hurt."""
        hurt = set().union(*self.damaged.values())
        return [path for path in self.shards() if path not in hurt]

    def survey(self) -> None:
        """Every shard that was whole has to be what it was."""
        whole = {path: digest(path) for path in self.whole()}
        hurt = set().union(*self.damaged.values())
        self.lost |= {p for p, kept in self._safe.items() if p not in hurt and whole.get(p) != kept}
        self._safe = whole

    def until(self, process: subprocess.Popen[str], more: int) -> bool:
        """Wait for so many more shards, and a random moment; whether the study still runs then."""
        shards = len(self.shards()) + more
        while process.poll() is None and len(self.shards()) < shards:
            time.sleep(0.01)
        time.sleep(self.rng.uniform(0, 0.3))
        return process.poll() is None

    def up_to(self, process: subprocess.Popen[str], most: int) -> bool:
        """Wait for a random number of shards, and a random moment; whether the study still runs then."""
        return self.until(process, int(self.rng.integers(0, most + 1)))

    def workers(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        """The processes that train: children of the process that they were forked from."""
        try:
            grandchildren = [g for c in psutil.Process(process.pid).children() for g in c.children()]
            return [p for p in grandchildren if p.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def ended(self, process: subprocess.Popen[str], status: tuple[int, ...] = (0, 2)) -> str:
        """Wait for the end of a study that was hurt: it completed, or it says why not in one line."""
        _, err = process.communicate(timeout=PATIENCE)
        lines = said(err)
        assert process.returncode in status, (process.returncode, err)
        assert "Traceback" not in err, err
        if process.returncode == 0:
            return "went on"
        assert len(lines) == 1, err
        begins = {2: "memreg: error: ", 130: "interrupted"}[process.returncode]
        assert lines[0].startswith(begins), err
        return lines[0].removeprefix("memreg: error: ")

    def complete(self) -> None:
        """The same command completes, and says which shards it found damaged."""
        out, err = (process := self.start()).communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        self.survey()
        warnings = [line for line in out.splitlines() if line.startswith("warning: ")]
        for fault, paths in self.damaged.items():
            named = [line for line in warnings if any(str(path) in line for path in paths)]
            self.seen[fault] = named[0].partition(".arrow: ")[2] if named else "trained again, or harmless"

    def compare(self, undisturbed: "Scene") -> None:
        """All members are in, and predictions and scores are the undisturbed study's to the bit."""
        here, there = Registry(self.uri), Registry(undisturbed.uri)
        cells = there.cells()
        mine = here.cells().set_index("cell")
        assert sorted(mine.index) == sorted(cells["cell"])
        client = MlflowClient(self.uri)
        for h in cells["cell"]:
            predictions, scores = here.predictions(h), here.scores(h)
            assert predictions.member.tolist() == list(range(MEMBERS))
            same_bits(predictions, there.predictions(h))
            assert scores.equals(there.scores(h))
            kept = np.flatnonzero(~predictions.diverged)
            history = client.get_metric_history(mine.loc[h, "run_id"], "member/test_accuracy")
            assert {m.step for m in history} >= set(kept)
            assert mine.loc[h, "members"] == len(kept)
            assert mine.loc[h, "diverged"] == MEMBERS - len(kept)
            assert (scores[["included_count", "excluded_count"]].sum(axis=1) == len(kept)).all()
        runs = client.search_runs(["1"], "tags.`memreg.kind` = 'cell'")
        assert [r.info.status for r in runs] == ["FINISHED"] * len(cells)


def said(err: str) -> list[str]:
    """The lines of stderr with which memreg ends: MLflow logs its own, beginning with a date, and a warning
    says that training goes on in fewer processes where memory has run out."""
    return [line for line in err.splitlines() if line.strip() and not line.startswith(("20", "warning: "))]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop(process: subprocess.Popen[str]) -> None:
    """End a process and all of its session, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
