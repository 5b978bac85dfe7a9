"""The cache of decoded data sets: current, whole, and decoded once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import arrays, flat_image, write_folder

from memreg.data import cache, load
from memreg.data.cache import locked
from memreg.data.dataset import array_digest
from memreg.errors import MemregError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    return write_folder(tmp_path / "set")


def cached(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "memreg-cache").iterdir())


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "_decode_into", decode)


def test_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(f"folder:{folder}")
    assert first.digests == (array_digest(first.train_images), array_digest(first.test_images))
    forbid_decoding(monkeypatch)
    again = load(f"folder:{folder}")
    assert isinstance(again.train_images, np.memmap)
    assert isinstance(again.train_labels, np.memmap)
    assert not again.train_images.flags.writeable
    assert again.fingerprint == first.fingerprint
    monkeypatch.setattr("memreg.data.dataset.array_digest", lambda array: str(len(array)))
    assert again.digests == first.digests, "the cache knows them"


def test_opened_by_another_path_it_has_that_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(f"folder:{folder}")
    forbid_decoding(monkeypatch)
    monkeypatch.chdir(folder.parent)
    assert load("folder:set").name == "folder:set"


def test_a_changed_source_is_decoded_anew(folder: Path) -> None:
    before = load(f"folder:{folder}")
    names = cached(folder)
    Image.fromarray(flat_image(7)[:10, :12]).save(folder / "train" / "bee" / "0.png")
    after = load(f"folder:{folder}")
    assert (after.train_images[3] == 7).all()
    assert after.fingerprint != before.fingerprint
    assert len(cached(folder)) == 1
    assert cached(folder) != names
    assert not (before.train_images[3] == 7).all(), "who has the old one open keeps it"


def test_a_new_file_is_noticed(folder: Path) -> None:
    load(f"folder:{folder}")
    Image.fromarray(flat_image(7)[:10, :12]).save(folder / "train" / "bee" / "new.png")
    assert load(f"folder:{folder}").n_train == 7


@pytest.mark.parametrize("file", ["dataset.json", "train_images.npy", "test_labels.npy"])
@pytest.mark.parametrize("length", [None, 0, 100])
def test_a_damaged_cache_is_made_anew(folder: Path, file: str, length: int | None) -> None:
    fingerprint = load(f"folder:{folder}").fingerprint
    path = folder / "memreg-cache" / cached(folder)[0] / file
    if length is None:
        path.unlink()
    else:
        os.truncate(path, length)
    again = load(f"folder:{folder}")
    assert again.fingerprint == fingerprint
    assert again.train_images.shape == (6, 10, 12, 3)


@pytest.mark.parametrize("file", ["train_images.npy", "test_images.npy"])
def test_images_that_have_changed_are_noticed_where_asked(folder: Path, file: str) -> None:
    truth = load(f"folder:{folder}").train_images.copy(), load(f"folder:{folder}").test_images.copy()
    (stored,) = folder.glob(f"memreg-cache/*/{file}")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    again = load(f"folder:{folder}", verify=True)
    assert all(
        np.array_equal(a, b) for a, b in zip(truth, (again.train_images, again.test_images), strict=True)
    )
    assert len(cached(folder)) == 1


def test_neighbours_do_not_disturb_each_other(tmp_path: Path) -> None:
    for name in ("a.npz", "a.npz-b.npz"):
        np.savez(tmp_path / name, **arrays())
        load(f"npz:{tmp_path / name}")
    assert len(cached(tmp_path)) == 2


def test_a_directory_that_cannot_be_written_to(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "memreg-cache").write_text("in the way, also of root")
    first = load(f"folder:{folder}")
    assert str(tmp_path / "user-cache" / "memreg") in str(first.train_images.filename)
    forbid_decoding(monkeypatch)
    assert load(f"folder:{folder}").fingerprint == first.fingerprint


def test_nowhere_to_write(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "memreg-cache").write_text("in the way")
    (tmp_path / "user-cache").write_text("in the way")
    with pytest.raises(MemregError, match=r"cannot write its cache to .*XDG_CACHE_HOME"):
        load(f"folder:{folder}")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(f"folder:{folder}").n_train == 6
    assert (tmp_path / ".cache" / "memreg").is_dir()


SLOWLY = """
import sys, time, logging
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
import memreg.data.source as source
fast, seen = source.picture, []
def picture(name, path):
    time.sleep(float(sys.argv[2]) * (len(seen) > 2))
    seen.append(path)
    return fast(name, path)
source.picture = picture
from memreg.data import load
dataset = load(sys.argv[1])
print(dataset.fingerprint)
"""


def slowly(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """So long for each picture but the first ones, from which a data set's shape is taken."""
    command = [sys.executable, "-c", SLOWLY, f"folder:{folder}", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_at_once_decode_once(folder: Path) -> None:
    both = [slowly(folder, 0.05) for _ in range(2)]
    said = [process.communicate(timeout=600)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0][-1] == said[1][-1] == load(f"folder:{folder}").fingerprint
    assert sum("decoding" in line for lines in said for line in lines) == 1
    assert len(cached(folder)) == 1


def test_killed_in_the_middle(folder: Path) -> None:
    process = slowly(folder, 600)
    assert process.stdout is not None
    assert "decoding" in process.stdout.readline()
    deadline = time.monotonic() + 30
    while not list(folder.glob("memreg-cache/*.part/train_images.npy")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert cached(folder)[0].endswith(".part")
    assert load(f"folder:{folder}").n_train == 6
    assert not any(name.endswith(".part") for name in cached(folder))


def test_a_lock_leaves_no_empty_directory(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "c").write_text("")
    assert (tmp_path / "a" / "b" / "c").exists()


def test_a_lock_on_a_directory_that_its_holder_removed(tmp_path: Path) -> None:
    """The second waits on a directory that is gone when its turn comes, and makes it again."""
    script = """
import sys, time
from pathlib import Path
from memreg.data.cache import locked
from memreg.data.dataset import array_digest
with locked(Path(sys.argv[1])):
    print(Path(sys.argv[1]).is_dir(), flush=True)
    time.sleep(0.3)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "shared")]
    three = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=600)[0] for process in three] == ["True\n"] * 3
    assert not (tmp_path / "shared").exists()
