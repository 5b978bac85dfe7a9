"""Nothing that is safely stored is lost, and the same command ends with the same bits, whatever happens.

`make test` injects a small sample. `make test-faults` sets MEMREG_FAULTS to a file: then each kind is injected
as often as `TIMES` says, and what was seen is written there as a table.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kinds import KINDS
from scene import Scene

SEED = int(os.environ.get("MEMREG_SEED", "0"))
TABLE = os.environ.get("MEMREG_FAULTS")
TIMES = {name: 4 for name in KINDS} | {
    "driver SIGKILL": 6,
    "worker SIGKILL": 8,
    "every worker SIGKILL, again and again": 2,
    "worker out of memory (RLIMIT_AS)": 3,
    "member's loss NaN": 1,
    "database locked for long": 2,
    "tracking server down for long": 2,
}
SAMPLE = {"driver SIGKILL": 1, "shards swapped between cells": 1}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("undisturbed"), np.random.default_rng(SEED))
    scene.complete()
    return scene


@pytest.fixture(scope="module")
def seen():
    """Rows of the table, one for each kind and what was seen of it."""
    rows = []
    yield rows
    if TABLE:
        counted = sum(n for _, n, _ in rows)
        head = [
            "| fault | injected | what was seen | members lost | same bits |",
            "| --- | --- | --- | --- | --- |",
        ]
        body = [f"| {name} | {n} | {text} | 0 | yes |" for name, n, text in rows]
        total = f"| {len({name for name, _, _ in rows})} kinds | {counted} | | 0 | yes |"
        Path(TABLE).write_text("\n".join([*head, *body, total]) + "\n")


@pytest.mark.parametrize("name", TIMES if TABLE else SAMPLE)
def test_the_same_command_ends_with_the_same_bits(name, undisturbed, seen, tmp_path):
    scene = Scene(tmp_path / "study", np.random.default_rng([SEED, *name.encode()]))
    times = (TIMES if TABLE else SAMPLE)[name]
    with scene.stack:
        KINDS[name](scene, times)
        scene.complete()
        scene.check(undisturbed)
    assert len(scene.faults) >= times
    hidden = {str(scene.directory): "...", scene.uri: "http://..."}
    counted = Counter(shown(fault.seen, hidden) for fault in scene.faults)
    seen.extend((name, n, text) for text, n in counted.items())


def shown(text, hidden):
    """Without what differs from run to run."""
    for old, new in hidden.items():
        text = text.replace(old, new)
    return text.removesuffix("; what is stored is kept, the same command goes on").replace("|", "/")[:160]
