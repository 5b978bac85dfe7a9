"""Nothing that is safely stored is lost, and the same command ends with the same bits, whatever happens.

A small sample of the faults, of every kind that takes seconds. `make test-faults` injects them all.
"""

import os

import numpy as np
import pytest
from kinds import KINDS
from scene import Scene

SEED = int(os.environ.get("MEMREG_SEED", "0"))
SAMPLE = ("driver SIGKILL", "disk full", "shards swapped between cells")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("undisturbed"), np.random.default_rng(SEED))
    scene.complete()
    return scene


@pytest.mark.parametrize("name", SAMPLE)
def test_the_same_command_ends_with_the_same_bits(name, undisturbed, tmp_path):
    scene = Scene(tmp_path / "study", np.random.default_rng([SEED, *name.encode()]))
    KINDS[name](scene, 1)
    scene.complete()
    scene.check(undisturbed)
    assert scene.faults
