"""Nothing that is safely stored is lost, and the same command ends with the same bits, whatever happens.

`make test` injects a handful of faults, `make test-faults` each kind as often as `TIMES` says.
"""

import os
from collections import Counter

import numpy as np
import pytest
from kinds import KINDS
from scene import Scene

SEED = int(os.environ.get("MEMREG_SEED", "0"))
ALL = os.environ.get("MEMREG_FAULTS") == "all"
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


if ALL:

    @pytest.mark.parametrize("name", KINDS)
    def test_faults(name, undisturbed, tmp_path, record_property):
        rng = np.random.default_rng([SEED, *name.encode()])
        seen, lost, completed, equal, scenes = Counter(), 0, 0, 0, 0
        try:
            while seen.total() < TIMES[name]:
                scenes += 1
                assert scenes < 5 + TIMES[name], "studies end before they can be hurt"
                scene = Scene(tmp_path / str(scenes), rng)
                before = seen.total()
                with scene.stack:
                    KINDS[name](scene, TIMES[name] - before)
                    scene.complete()
                    seen.update(shown(text, scene) for text in scene.seen)
                    completed += len(scene.seen)
                    lost += len(scene.lost)
                    scene.compare(undisturbed)
                    equal += len(scene.seen)
            assert lost == 0
        finally:
            row = [seen.total(), lost, completed, equal]
            texts = "; ".join(f"{n} {text}" for text, n in seen.most_common())
            record_property("fault", [list(KINDS).index(name), name, *row, texts])

else:

    def test_a_handful_of_faults(undisturbed, tmp_path):
        scene = Scene(tmp_path / "study", np.random.default_rng(SEED))
        for name in HANDFUL:
            KINDS[name](scene, 1)
        scene.complete()
        scene.compare(undisturbed)
        assert not scene.lost
        assert len(scene.seen) == len(HANDFUL)


def shown(text, scene):
    """Without what differs from run to run, and short."""
    for old, new in ((str(scene.directory), "..."), (scene.uri, "http://..."), ("|", "/")):
        text = text.replace(old, new)
    return text.removesuffix("; what is stored is kept; run the same command again to go on")[:160]
