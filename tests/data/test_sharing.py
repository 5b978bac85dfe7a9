"""One copy of a data set for many processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_sets import arrays

from memreg.data import Dataset, load
from memreg.data.sharing import open_shared, share
from memreg.errors import MemregError

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels", "clean_labels", "groups")


def same(a: Dataset, b: Dataset) -> bool:
    return (a.name, a.classes, a.flip, a.fingerprint) == (
        b.name,
        b.classes,
        b.flip,
        b.fingerprint,
    ) and all(
        (getattr(a, key) is None and getattr(b, key) is None)
        or np.array_equal(getattr(a, key), getattr(b, key))
        for key in ARRAYS
    )


@pytest.mark.parametrize("name", ["digits", "digits+planted=1+noise=0.1", "digits+subset=50"])
def test_what_is_opened_is_what_was_shared(tmp_path: Path, name: str) -> None:
    dataset = load(name)
    opened = open_shared(share(dataset, tmp_path / "shared"))
    assert same(opened, dataset)
    for key in ARRAYS:
        array = getattr(opened, key)
        assert array is None or (isinstance(array, np.memmap) and not array.flags.writeable)


def test_mapped_arrays_stay_where_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays())
    dataset = load(f"npz:{tmp_path}/set.npz+noise=0.5")
    handle = share(dataset, tmp_path / "shared")
    assert sorted(path.name for path in handle.parent.iterdir()) == [
        "clean_labels.npy",
        "dataset.json",
        "train_labels.npy",
    ]
    assert same(open_shared(handle), dataset)
    again = share(open_shared(handle), tmp_path / "again")
    assert [path.name for path in again.parent.iterdir()] == ["dataset.json"]
    assert same(open_shared(again), dataset)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:],
        lambda a: a[::-1],
        lambda a: a[:, ::-1],
        lambda a: a.transpose(0, 2, 1, 3),
        lambda a: np.array(a),
    ],
)
def test_a_view_of_a_mapped_array_is_written(tmp_path: Path, view: Callable[[Any], Any]) -> None:
    np.save(tmp_path / "images.npy", np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8, 1))
    images = view(np.load(tmp_path / "images.npy", mmap_mode="r"))
    labels = np.arange(len(images)) % 2
    dataset = Dataset("x", images, labels, images, labels, 2, False)
    assert same(open_shared(share(dataset, tmp_path / "shared")), dataset)


def test_a_mapped_file_that_has_gone_is_written(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.ones((4, 8, 8, 1), np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    (tmp_path / "images.npy").unlink()
    labels = np.arange(4) % 2
    dataset = Dataset("x", images, labels, images, labels, 2, False)
    assert same(open_shared(share(dataset, tmp_path / "shared")), dataset)


def test_a_damaged_handle(tmp_path: Path) -> None:
    handle = share(load("digits"), tmp_path)
    content = handle.read_text()
    for damaged in ("", "[]", "{}", content[:-9], content.replace("test_labels.npy", "none.npy")):
        handle.write_text(damaged)
        with pytest.raises(MemregError, match="missing or damaged"):
            open_shared(handle)
    handle.write_text(content)
    np.save(tmp_path / "test_labels.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(MemregError, match="missing or damaged"):
        open_shared(handle)
    handle.unlink()
    with pytest.raises(MemregError, match="missing or damaged"):
        open_shared(handle)


def test_a_handle_can_be_read_by_anyone(tmp_path: Path) -> None:
    content = json.loads(share(load("digits"), tmp_path).read_text())
    assert content["arrays"]["train_images"] == "train_images.npy"
    assert np.load(tmp_path / content["arrays"]["train_images"]).shape == (1297, 8, 8, 1)
