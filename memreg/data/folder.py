"""A user's own images in folders: PATH/train/<class>/ and PATH/test/<class>/, or val/."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg.data.source import Decoded, Source, pictures
from memreg.errors import MemregError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def folder(path: Path) -> Source:
    """`folder:PATH`: classes are the sub-folders of train/, in alphabetical order.

    The layout of torchvision's ImageFolder, deeper folders included; images become RGB. Where both
    are there, test/ goes before val/.
    """
    name = f"folder:{path}"
    root = path.expanduser()
    tests = [part for part in ("test", "val") if (root / part).is_dir()]
    if not (root / "train").is_dir() or not tests:
        raise MemregError(f"{name}: {root} must be a folder with train/ and test/ or val/ in it")
    classes = _subfolders(root / "train")
    train, train_labels = _images(name, root, "train", classes)
    if unknown := sorted(set(_subfolders(root / tests[0])) - set(classes)):
        raise MemregError(f"{name}: {tests[0]}/{unknown[0]} has no counterpart in train/")
    test, test_labels = _images(name, root, tests[0], classes)

    def decode() -> Decoded:
        first = f"{root}/{train[0]}"
        return Decoded(
            pictures(name, [f"{root}/{file}" for file in train], train_labels, like=first),
            pictures(name, [f"{root}/{file}" for file in test], test_labels, like=first),
            classes=len(classes),
            flip=True,
        )

    return Source(name, root, train + test, decode)


def _subfolders(directory: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())


def _images(name: str, root: Path, part: str, classes: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Paths relative to root, in alphabetical order within each class, and labels, shape [n]."""
    paths, labels = [], []
    for label, kind in enumerate(classes):
        found = [
            f"{os.path.relpath(directory, root)}/{file}"
            for directory, _, files in os.walk(root / part / kind, followlinks=True)
            for file in files
            if file.lower().endswith(EXTENSIONS)
        ]
        if not found and part == "train":
            raise MemregError(f"{name}: {root / part / kind} has no images")
        paths += sorted(found)
        labels += [label] * len(found)
    if not paths:
        raise MemregError(f"{name}: {root / part} has no images: it needs one folder for each class")
    return paths, np.array(labels, np.int64)
