"""Folders of classes that nobody has divided into train/ and test/: PATH/<class>/."""

import hashlib
import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreg.data.pixels import EXTENSIONS
from memreg.data.tree import Tree, in_words
from memreg.errors import MemregError

ONE_IN = 20
"""Of each class, one image in so many is tested on."""


class Listed(NamedTuple):
    """Files of a folder, relative to it, with their labels, shape [n]."""

    classes: list[str]
    train: list[str]
    train_labels: NDArray[np.int64]
    test: list[str]
    test_labels: NDArray[np.int64]
    notice: str
    """How they were told apart, where that is not plain; else ""."""


def by_class(name: str, tree: Tree) -> Listed:
    """One image in `ONE_IN` of each class for testing, at least one unless it is the only one.

    Those whose paths have the lowest hashes: the same ones on every machine, and most of them still when
    images come or go. Sub-folders without images are passed over.
    """
    found = tree.folders("")
    tree.walk([("", kind) for kind in found])
    classes = [kind for kind in found if tree.files.get(("", kind))]
    empty = [f"{kind}/" for kind in found if kind not in classes]
    if not classes:
        more = f" (passed over {in_words(tree.skipped)})" if tree.skipped else ""
        raise MemregError(f"{name}: no images in its sub-folders: each class needs one{more}")
    if len(classes) < 2:
        raise MemregError(
            f"{name}: only {classes[0]}/ has images: there must be two classes or more, a sub-folder each"
        )
    paths: tuple[list[str], list[str]] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    for label, kind in enumerate(classes):
        files = sorted(tree.files["", kind])
        few = max(1, len(files) // ONE_IN) if len(files) > 1 else 0
        held_out = {*sorted(files, key=_digest)[:few]}
        for file in files:
            part = int(file in held_out)
            paths[part].append(file)
            labels[part].append(label)
    if not paths[1]:
        raise MemregError(f"{name}: one image of each class: there must be more, to train on and to test on")
    notice = (
        f"it has no train/ and test/, so {len(paths[1])} of {sum(map(len, paths))} images are for testing"
    )
    if empty:
        notice += f"; {', '.join(empty)} without images"
    if loose := sum(file.suffix.lower() in EXTENSIONS for file in tree.root.iterdir() if file.is_file()):
        notice += f"; {loose} images beside the sub-folders, which are of no class"
    train, test = (np.array(numbers, np.int64) for numbers in labels)
    return Listed(classes, paths[0], train, paths[1], test, notice)


def _digest(file: str) -> bytes:
    return hashlib.sha256(os.fsencode(file)).digest()
