"""One copy of a data set for many processes: memory-mapped .npy files, named by a small JSON.

Pickling a `Dataset` copies its arrays, memory-mapped ones too. A handle is a path instead: every
process that opens it maps the same pages. Nothing is pickled, and nothing unpickled.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreg.data.dataset import Dataset, array_digest
from memreg.errors import MemregError

HANDLE = "dataset.json"
_REQUIRED = ("train_images", "train_labels", "test_images", "test_labels")
_OPTIONAL = ("clean_labels", "groups", "files")


def share(dataset: Dataset, directory: Path) -> Path:
    """Write a handle for `open_shared`: a JSON file, its paths relative to itself or absolute.

    Arrays that are whole memory-mapped .npy files stay where they are; the others are written.
    The directory must outlive every process that opens the handle.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = {}
    for field in (*_REQUIRED, *_OPTIONAL):
        array = getattr(dataset, field)
        if array is None:
            continue
        if (mapped := mapped_file(array)) is not None:
            paths[field] = str(mapped.resolve())
        else:
            paths[field] = f"{field}.npy"
            np.save(directory / paths[field], array, allow_pickle=False)
    about = About(dataset.name, dataset.classes, dataset.flip, dataset.digests, dataset.class_labels)
    return write_handle(directory, about, paths)


class About(NamedTuple):
    """What a handle says of a data set beside its arrays; digests are `Dataset.digests`."""

    name: str
    classes: int
    flip: bool
    digests: tuple[str, str]
    class_labels: tuple[int | str, ...] | None


def write_handle(directory: Path, about: About, paths: dict[str, str]) -> Path:
    """Write the JSON that names the arrays."""
    handle = directory / HANDLE
    handle.write_text(json.dumps({**about._asdict(), "arrays": paths}, indent=1))
    return handle


def open_shared(handle: Path) -> Dataset:
    """The data set behind a handle, every array memory-mapped and read-only, in milliseconds.

    Raises `MemregError` where the handle or an array is missing or damaged.
    """
    try:
        content = json.loads(handle.read_text())
        paths: dict[str, str] = content["arrays"]
        arrays: dict[str, Any] = {field: _open(handle.parent / path) for field, path in paths.items()}
        train_digest, test_digest = content["digests"]
        labels = content["class_labels"]
        return Dataset(
            name=content["name"],
            classes=content["classes"],
            flip=content["flip"],
            class_labels=labels if labels is None else tuple(labels),
            known_digests=(train_digest, test_digest),
            **arrays,
        )
    except Exception as error:  # the parser of .npy headers raises of every kind
        why = " ".join(str(error).split())
        raise MemregError(f"shared data set {handle} is missing or damaged: {why}") from error


def check_digests(dataset: Dataset) -> None:
    """Raise `MemregError` where the images are not those of the digests that it was opened with."""
    if (array_digest(dataset.train_images), array_digest(dataset.test_images)) != dataset.known_digests:
        raise MemregError(f"the images of {dataset.name} are not those that were stored")


def _open(path: Path) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.lib.format.open_memmap(path, mode="r")
    return array


def mapped_file(array: NDArray[np.generic]) -> Path | None:
    """The .npy file whose whole content this array is, if there is one."""
    if not isinstance(array, np.memmap) or array.mode != "r" or array.filename is None:
        return None
    path = Path(array.filename)
    try:
        whole = _open(path)
    except (OSError, ValueError):
        return None
    same = (whole.dtype, whole.shape, whole.strides) == (array.dtype, array.shape, array.strides)
    return path if same else None
