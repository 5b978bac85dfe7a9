"""A user's own images in folders: PATH/train/<class>/ and PATH/test/<class>/, or val/; or PATH/<class>/."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memreg.data.by_class import Listed, by_class
from memreg.data.pixels import EXTENSIONS
from memreg.data.source import Decoded, Source, Split, expanded, fitted_pictures, pictures, whole
from memreg.data.tree import Tree, in_words
from memreg.errors import MemregError

LOOKED_AT = 200
"""Images whose sides are looked at."""


def folder(path: Path, size: int = 0) -> Source:
    """`folder:PATH`: classes are the sub-folders of train/, or of PATH itself, in alphabetical order.

    The layout of torchvision's ImageFolder, deeper folders included; images become RGB. Where both are there,
    test/ goes before val/, if it is sorted into classes. Without train/ and test/ some of each class are for
    testing. Hidden entries and those that systems leave behind are none of it, and a directory counts once,
    whatever links lead to it.

    size: to which images are brought, which then may have any, and be transparent; what still cannot be read
    is left out. 0 refuses all that.
    """
    name = f"folder:{path}"
    root, tests = parts(path)
    tree = Tree(root, EXTENSIONS)
    listed = _given(name, tree, tests) if tests else by_class(name, tree)

    def decode() -> Decoded:
        return _fitted(name, root, listed, size) if size else _exact(name, root, listed)

    notices = [listed.notice] if listed.notice else []
    if tree.skipped:
        notices.append(f"passed over {in_words(tree.skipped)}, which memreg does not read as images")
    notice = f"{name}: {'; '.join(notices)}" if notices else ""
    return Source(name, root, listed.train + listed.test, decode, notice, size)


class Glance(NamedTuple):
    images: int
    side: int
    """The median of the shorter sides of some of them, in pixels."""


def glance(path: Path) -> Glance:
    """How many images a folder has, and how large. Raises `MemregError` where none can be read."""
    from PIL import Image

    source, sides = folder(path), list[int]()
    for file in source.files[:: max(1, len(source.files) // LOOKED_AT)]:
        with suppress(Exception), Image.open(f"{source.directory}/{file}") as image:
            sides.append(min(image.size))
    if not sides:
        raise MemregError(f"{source.name}: none of its images can be read")
    return Glance(len(source.files), int(np.median(sides)))


def parts(path: Path) -> tuple[Path, list[str]]:
    """The folder, and which of test/ and val/ it has beside train/: none where its sub-folders are classes.

    Raises `MemregError` where it has neither.
    """
    root = expanded(path)
    tests = [part for part in ("test", "val") if (root / part).is_dir()]
    train = (root / "train").is_dir()
    if train and tests:
        return root, tests
    if not train and not tests and root.is_dir() and Tree(root, EXTENSIONS).folders(""):
        return root, []
    alone = f" (as {root / 'train'} is)" if train else ""
    raise MemregError(
        f"folder:{path}: {root} must be a folder with train/ and test/ or val/ in it, or with a sub-folder "
        f"of images for each class{alone}"
    )


def _given(name: str, tree: Tree, tests: list[str]) -> Listed:
    """Training and test images as the folder has them."""
    classes = tree.folders("train")
    if not classes:
        raise MemregError(f"{name}: {tree.root / 'train'} has no images: it needs one folder for each class")
    test_part = _labelled(name, tree, tests, classes)
    tree.walk([("train", kind) for kind in classes] + [(test_part, kind) for kind in tree.folders(test_part)])
    train, test = (_images(name, tree, part, classes) for part in ("train", test_part))
    fallen_back = test_part != tests[0]
    notice = f"{test_part}/ is tested on: test/ has no folder of a class" if fallen_back else ""
    return Listed(classes, *train, *test, notice)


def _exact(name: str, root: Path, listed: Listed) -> Decoded:
    """Images as they are: all of one size, every one."""
    first = f"{root}/{listed.train[0]}"
    train, test = (
        pictures(name, [f"{root}/{file}" for file in files], labels, like=first)
        for files, labels in ((listed.train, listed.train_labels), (listed.test, listed.test_labels))
    )
    return _decoded(listed, train, test, listed.train + listed.test)


def _fitted(name: str, root: Path, listed: Listed, size: int) -> Decoded:
    """Images of this size, without those that cannot be read."""
    splits, kept = [], list[str]()
    for files, labels in ((listed.train, listed.train_labels), (listed.test, listed.test_labels)):
        images, known = fitted_pictures([f"{root}/{file}" for file in files], size)
        splits.append(whole(images, labels[known]))
        kept += [file for file, is_known in zip(files, known, strict=True) if is_known]
    if lost := {*range(len(listed.classes))} - {*splits[0].labels.tolist()}:
        kind = listed.classes[min(lost)]
        raise MemregError(f"{name}: of class {kind} there is no image that can be read to train on")
    train, test = splits
    return _decoded(listed, train, test, kept)


def _decoded(listed: Listed, train: Split, test: Split, files: list[str]) -> Decoded:
    return Decoded(
        train, test, len(listed.classes), flip=True, class_labels=tuple(listed.classes), files=files
    )


def _labelled(name: str, tree: Tree, tests: list[str], classes: list[str]) -> str:
    """The part to test on: the first that is sorted into the classes of train/.

    One with other folders too is refused: not all of it could be tested on.
    """
    for part in tests:
        found = tree.folders(part)
        known = set(found) & set(classes)
        if known and (unknown := sorted(set(found) - known)):
            raise MemregError(f"{name}: {part}/{unknown[0]} has no counterpart in train/")
        if known:
            return part
    if found:
        raise MemregError(
            f"{name}: {part}/{found[0]} has no counterpart in train/: it needs a folder for each class"
        )
    said = " and ".join(f"{tree.root / part}" for part in tests)
    raise MemregError(f"{name}: {said} has no images: it needs one folder for each class")


def _images(name: str, tree: Tree, part: str, classes: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Paths relative to root, in alphabetical order within each class, and labels, shape [n]."""
    paths, labels = [], []
    for label, kind in enumerate(classes):
        found = tree.files.get((part, kind), [])
        if not found and part == "train":
            more = f" (passed over {in_words(tree.skipped)})" if tree.skipped else ""
            raise MemregError(
                f"{name}: {tree.root / part / kind} has no images{tree.other(part, kind)}{more}"
            )
        paths += sorted(found)
        labels += [label] * len(found)
    if not paths:
        others = (tree.other(part, kind) for kind in tree.folders(part))
        said = next(filter(None, others), ": it needs one folder for each class")
        raise MemregError(f"{name}: {tree.root / part} has no images{said}")
    return paths, np.array(labels, np.int64)
