"""Arrays from outside, checked: what a `Dataset` promises of them holds afterwards."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.data.dataset import Dataset
from memreg.data.labels import numbered, plain
from memreg.errors import MemregError
from memreg.members import MOST_CLASSES

KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def from_mapping(name: str, mapping: Mapping[str, Any]) -> Dataset:
    """The data set of arrays under KEYS and, if given, `flip` (false otherwise).

    Images are uint8, [n, height, width] or [n, height, width, channels]; labels whole numbers or names: the
    different ones, in their order, are the classes. Raises `MemregError` for all else.
    """
    for key in KEYS:
        if key not in mapping:
            raise MemregError(f"{name}: no {key}; the keys must be {', '.join(KEYS)}")
    flip = np.asarray(mapping.get("flip", False))
    if flip.shape != () or flip.dtype != np.bool_:
        raise MemregError(f"{name}: flip must be true or false, not {flip.tolist()!r}")
    given = [plain(name, key, mapping[key], text=True) for key in KEYS[1::2]]
    for split, array in zip(("training", "test"), given, strict=True):
        if array.dtype.kind == "i" and array.size and array.min() < 0:
            raise MemregError(
                f"{name}: {split} labels go from {array.min()} to {array.max()}: they must be 0 and above, "
                "since -1 may stand for no label"
            )
    if len({array.dtype.kind == "U" for array in given}) > 1:
        raise MemregError(f"{name}: of training and test labels one has names and the other numbers")
    (train, test), class_labels, classes = numbered(given)
    return checked(
        Dataset(
            name=name,
            train_images=mapping["train_images"],
            train_labels=train,
            test_images=mapping["test_images"],
            test_labels=test,
            classes=classes,
            flip=bool(flip),
            class_labels=class_labels,
        )
    )


def checked(dataset: Dataset) -> Dataset:
    """The same data set, arrays converted. Raises `MemregError` where they do not fit together."""
    name = dataset.name
    images: dict[str, Any] = {key: _images(name, key, getattr(dataset, key)) for key in KEYS[::2]}
    labels: dict[str, Any] = {key: _labels(name, key, getattr(dataset, key)) for key in KEYS[1::2]}
    train, test = images.values()
    if train.shape[1:] != test.shape[1:]:
        raise MemregError(
            f"{name}: training images are {_size(train)} and test images {_size(test)}: "
            f"they must have the same size"
        )
    check_labels(name, "training", train.shape, labels["train_labels"], dataset.classes)
    check_labels(name, "test", test.shape, labels["test_labels"], dataset.classes)
    for key, rows in (("clean_labels", len(train)), ("groups", len(train) + len(test))):
        if (value := getattr(dataset, key)) is not None:
            labels[key] = _labels(name, key, value)
            if len(labels[key]) != rows:
                raise MemregError(f"{name}: {key} has {len(labels[key])} rows: there must be {rows}")
    files = dataset.files
    if files is not None:
        files = np.asarray(files, np.str_)
        if files.shape != (wanted := (len(train) + len(test),)):
            raise MemregError(
                f"{name}: files has shape {files.shape}: it must be {wanted}, a path for each image"
            )
    if "clean_labels" in labels:
        check_labels(name, "clean", train.shape, labels["clean_labels"], dataset.classes)
    if (known := dataset.class_labels) is not None and len({*known}) != dataset.classes:
        raise MemregError(
            f"{name}: class_labels must be {dataset.classes} different labels, one for each class"
        )
    return replace(
        dataset, **images, **labels, files=files, known_digests=(None, None)
    )  # of whatever it was made from


def check_labels(
    name: str, split: str, shape: tuple[int, ...], labels: NDArray[np.int64], classes: int
) -> None:
    """Raise `MemregError` unless labels [n], 0 .. classes-1, fit images of this shape."""
    if shape[0] != len(labels):
        raise MemregError(f"{name}: {shape[0]} {split} images but {len(labels)} labels: each needs one")
    if not len(labels):
        raise MemregError(f"{name}: no {split} images: at least one is needed")
    if shape[-1] not in (1, 3):
        raise MemregError(f"{name}: images of {shape[-1]} channels: there must be one or three")
    if classes < 2:
        raise MemregError(f"{name}: only one class: at least two are needed")
    if classes > MOST_CLASSES:
        raise MemregError(f"{name}: {classes} classes: predictions are stored of {MOST_CLASSES} at most")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise MemregError(
            f"{name}: {split} labels go from {low} to {high}: they must go from 0 to {classes - 1}"
        )


def _images(name: str, key: str, value: Any) -> NDArray[np.uint8]:
    array: NDArray[Any] = np.asanyarray(value)
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or np.ma.isMaskedArray(array):
        raise MemregError(
            f"{name}: {key} is {array.dtype} of shape {array.shape}: it must be uint8 of shape "
            f"[n, height, width] or [n, height, width, channels]"
        )
    if any(stride < 0 for stride in array.strides):  # torch has no such tensors
        array = np.ascontiguousarray(array)
    return array if array.ndim == 4 else array[..., None]


def _labels(name: str, key: str, value: Any) -> NDArray[np.int64]:
    array = plain(name, key, value)
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise MemregError(f"{name}: {key} go up to {array.max()}: classes are 0, 1, ...")
    return array.astype(np.int64, copy=False)


def _size(images: NDArray[np.uint8]) -> str:
    return "x".join(map(str, images.shape[1:]))
