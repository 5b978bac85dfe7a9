"""Nothing that is safely stored is lost, and the same command ends with the same bits, whatever happens.

`make test` injects a handful of faults. `make test-faults` sets MEMREG_FAULTS to a file: then each kind is
injected as often as `TIMES` says, and a table of what was seen is written there.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from kinds import KINDS
from scene import Scene

SEED = int(os.environ.get("MEMREG_SEED", "0"))
TABLE = os.environ.get("MEMREG_FAULTS")
TIMES = dict.fromkeys(KINDS, 3) | {
    "driver SIGKILL": 6,
    "driver SIGINT, SIGTERM": 4,
    "worker SIGKILL": 8,
    "all workers SIGKILL, again and again": 2,
    "driver and workers SIGSTOP for a while": 4,
    "database locked for a while": 6,
    "database locked for long": 2,
    "tracking server down for long": 2,
    "shard truncated": 6,
    "shard with a bit flipped": 6,
}
HANDFUL = ("driver SIGKILL", "shard truncated", "shard with a bit flipped", "shards swapped between cells")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("undisturbed"), np.random.default_rng(SEED))
    scene.complete()
    return scene


@dataclass
class Row:
    """Of the table: a kind of fault, injected into some studies."""

    kind: str
    lost: int = 0
    completed: str = "no"
    equal: str = "no"
    seen: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        seen = "; ".join(f"{n} {text}" for text, n in self.seen.most_common())
        return (
            f"| {self.kind} | {self.seen.total()} | {self.lost} | {self.completed} | {self.equal} | {seen} |"
        )


@pytest.fixture(scope="module")
def rows():
    rows = []
    yield rows
    if TABLE:
        head = (
            "| fault | injected | shards lost | same command completed | same bits | what came of it |",
            "| --- | --- | --- | --- | --- | --- |",
        )
        injected, lost = sum(row.seen.total() for row in rows), sum(row.lost for row in rows)
        total = f"| {len(rows)} kinds | {injected} | {lost} | | | |"
        Path(TABLE).write_text("\n".join([*head, *map(str, rows), total]) + "\n")


@pytest.mark.skipif(TABLE is not None, reason="all kinds are injected")
def test_a_handful_of_faults(undisturbed, tmp_path):
    scene = Scene(tmp_path / "study", np.random.default_rng(SEED))
    for name in HANDFUL:
        KINDS[name](scene, 1)
    scene.complete()
    scene.compare(undisturbed)
    assert not scene.lost
    assert len(scene.seen) == len(HANDFUL)


@pytest.mark.skipif(TABLE is None, reason="make test-faults")
@pytest.mark.parametrize("name", KINDS)
def test_faults(name, undisturbed, rows, tmp_path):
    rows.append(row := Row(name))
    rng = np.random.default_rng([SEED, *name.encode()])
    while row.seen.total() < TIMES[name]:
        scene = Scene(tmp_path / str(row.seen.total()), rng)
        with scene.stack:
            KINDS[name](scene, TIMES[name] - row.seen.total())
            scene.complete()
            row.completed = "yes"
            row.lost += len(scene.lost)
            row.seen.update(shown(text, scene) for text in scene.seen)
            assert scene.seen, "the study had ended before it could be hurt"
            assert not scene.lost
            scene.compare(undisturbed)
    row.equal = "yes"


def shown(text, scene):
    """Without what differs from run to run, and short."""
    for old, new in ((str(scene.directory), "..."), (scene.uri, "http://..."), ("|", "/")):
        text = text.replace(old, new)
    return text.removesuffix("; what is stored is kept, the same command goes on")[:160]
