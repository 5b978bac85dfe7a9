"""Tiny ImageNet (Le and Yang, 2015), from its standard folder `tiny-imagenet-200`."""

import os
from pathlib import Path

import numpy as np

from memreg.data.fetch import fetch
from memreg.data.source import Decoded, Source, pictures
from memreg.data.tree import is_system
from memreg.errors import MemregError

NAME = "tiny_imagenet"
FOLDER = "tiny-imagenet-200"
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"


def tiny_imagenet(data_dir: Path) -> Source:
    """100,000 training images and, as test images, the 10,000 validation ones: [n, 64, 64, 3].

    Labels number the wnids in alphabetical order, as an ImageFolder would. Grey images become RGB.
    """

    def download(to: Path) -> None:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(URL, str(to), md5=MD5)

    fetch(NAME, data_dir, FOLDER, f"unpack {URL} in {data_dir}", download)
    root = data_dir / FOLDER
    wnids = sorted(_lines(root / "wnids.txt"))
    train, train_labels = [], []
    for label, wnid in enumerate(wnids):
        images = _training(root, wnid)
        train += images
        train_labels.append(np.full(len(images), label))
    counts = {wnid: len(labels) for wnid, labels in zip(wnids, train_labels, strict=True)}
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[fewest] < counts[most]:
        raise _damage(f"{root / 'train' / fewest} has {counts[fewest]} images and {most} {counts[most]}")
    test, test_labels, told = _validation(root, wnids)

    def decode() -> Decoded:
        first = f"{root}/{train[0]}"
        labels = np.concatenate(train_labels), np.array(test_labels)
        return Decoded(
            pictures(NAME, [f"{root}/{path}" for path in train], labels[0], like=first),
            pictures(NAME, [f"{root}/{path}" for path in test], labels[1], like=first),
            classes=len(wnids),
            flip=True,
            class_labels=tuple(wnids),
            files=train + test,
        )

    files = ["wnids.txt", *told, *train, *test]
    return Source(NAME, data_dir, [f"{FOLDER}/{file}" for file in files], decode)


def _training(root: Path, wnid: str) -> list[str]:
    """Paths, relative to root, of a class's training images, which lie in images/ or, moved up, beside it."""
    for folder in (f"train/{wnid}/images", f"train/{wnid}"):
        if (root / folder).is_dir() and (images := _images(root / folder)):
            return [f"{folder}/{image}" for image in images]
    raise _damage(f"no {root / 'train' / wnid / 'images'}")


def _validation(root: Path, wnids: list[str]) -> tuple[list[str], list[int], list[str]]:
    """Paths, relative to root, and labels of the validation images, in alphabetical order of their names, and
    what else says which image is of which class.

    As they come, or sorted into a folder for each class, as people do for an ImageFolder: the same images in
    the same order.
    """
    annotations, unsorted = root / "val" / "val_annotations.txt", root / "val" / "images"
    if annotations.is_file() and unsorted.is_dir() and (images := _images(unsorted)):
        labels = _annotated(annotations, wnids)
        if odd := sorted(set(images) ^ set(labels)):
            where = "val_annotations.txt" if odd[0] in images else "val/images"
            raise _damage(f"{odd[0]}, and {len(odd) - 1} more, are missing in {root / where}")
        return (
            [f"val/images/{image}" for image in images],
            [labels[i] for i in images],
            ["val/val_annotations.txt"],
        )
    found = []
    for label, wnid in enumerate(wnids):
        for folder in (f"val/{wnid}/images", f"val/{wnid}"):
            if (root / folder).is_dir():
                found += [(image, f"{folder}/{image}", label) for image in _images(root / folder)]
    if not found:
        _annotated(annotations, wnids)
        raise _damage(f"no {root / 'val' / 'images'}, nor folders of classes in {root / 'val'}")
    found.sort()
    if annotations.is_file():
        known = _annotated(annotations, wnids)
        if wrong := next((path for image, path, label in found if known.get(image, label) != label), None):
            raise _damage(f"{root / wrong} is in another class's folder than {annotations} says")
        if missing := sorted({*known} - {image for image, _, _ in found}):
            raise _damage(f"{missing[0]}, and {len(missing) - 1} more, are missing in {root / 'val'}")
    return [path for _, path, _ in found], [label for _, _, label in found], []


def _annotated(annotations: Path, wnids: list[str]) -> dict[str, int]:
    """The class of each validation image, by its name."""
    numbers, labels = {wnid: label for label, wnid in enumerate(wnids)}, {}
    for line in _lines(annotations):
        image, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in numbers:
            raise _damage(f"{annotations} puts {image} in {wnid or 'no class'}, not in wnids.txt")
        labels[image] = numbers[wnid]
    return labels


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise _damage(f"cannot read {path}") from error
    if not lines:
        raise _damage(f"{path} is empty")
    return lines


def _images(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(
                e.name for e in entries if e.name.upper().endswith(".JPEG") and not is_system(e.name)
            )
    except OSError as error:
        raise _damage(f"no {directory}") from error


def _damage(what: str) -> MemregError:
    return MemregError(f"{NAME}: {what}: unpack {URL} anew")
