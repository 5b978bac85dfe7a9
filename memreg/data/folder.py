"""A user's own images in folders: PATH/train/<class>/ and PATH/test/<class>/, or val/."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg.data.pixels import EXTENSIONS
from memreg.data.source import Decoded, Source, expanded, pictures
from memreg.data.tree import Tree, counted
from memreg.errors import MemregError


def folder(path: Path) -> Source:
    """`folder:PATH`: classes are the sub-folders of train/, in alphabetical order.

    The layout of torchvision's ImageFolder, deeper folders included; images become RGB. Where both are there,
    test/ goes before val/, if it is sorted into classes. Hidden entries and those that systems leave behind
    are none of it, and a directory counts once, whatever links lead to it.
    """
    name = f"folder:{path}"
    root, tests = parts(path)
    tree = Tree(root, EXTENSIONS)
    classes = tree.folders("train")
    if not classes:
        raise MemregError(f"{name}: {root / 'train'} has no images: it needs one folder for each class")
    test_part = _labelled(name, tree, tests, classes)
    tree.walk([("train", kind) for kind in classes] + [(test_part, kind) for kind in tree.folders(test_part)])
    train, train_labels = _images(name, tree, "train", classes)
    test, test_labels = _images(name, tree, test_part, classes)

    def decode() -> Decoded:
        first = f"{root}/{train[0]}"
        return Decoded(
            pictures(name, [f"{root}/{file}" for file in train], train_labels, like=first),
            pictures(name, [f"{root}/{file}" for file in test], test_labels, like=first),
            classes=len(classes),
            flip=True,
            class_labels=tuple(classes),
            files=train + test,
        )

    fallen_back = test_part != tests[0]
    notices = [f"{name}: {test_part}/ is tested on: test/ has no folder of a class"] if fallen_back else []
    if tree.skipped:
        notices.append(f"{name}: passed over {counted(tree.skipped)}, which memreg does not read as images")
    return Source(name, root, train + test, decode, "; ".join(notices))


def parts(path: Path) -> tuple[Path, list[str]]:
    """The folder, and which of test/ and val/ it has. Raises `MemregError` where it lacks them or train/."""
    root = expanded(path)
    tests = [part for part in ("test", "val") if (root / part).is_dir()]
    if not (root / "train").is_dir() or not tests:
        raise MemregError(f"folder:{path}: {root} must be a folder with train/ and test/ or val/ in it")
    return root, tests


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
            more = f" (passed over {counted(tree.skipped)})" if tree.skipped else ""
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
