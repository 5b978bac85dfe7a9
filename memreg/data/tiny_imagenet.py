"""Tiny ImageNet (Le and Yang, 2015), from its standard folder `tiny-imagenet-200`."""

import os
from pathlib import Path

import numpy as np

from memreg.data.fetch import fetch
from memreg.data.source import Decoded, Source, pictures
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
        images = _images(root / "train" / wnid / "images")
        train += [f"train/{wnid}/images/{image}" for image in images]
        train_labels.append(np.full(len(images), label))
    counts = {wnid: len(labels) for wnid, labels in zip(wnids, train_labels, strict=True)}
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[fewest] < counts[most]:
        raise _damage(f"{root / 'train' / fewest} has {counts[fewest]} images and {most} {counts[most]}")
    test, test_labels = _validation(root, wnids)

    def decode() -> Decoded:
        first = f"{root}/{train[0]}"
        labels = np.concatenate(train_labels), np.array(test_labels)
        return Decoded(
            pictures(NAME, [f"{root}/{path}" for path in train], labels[0], like=first),
            pictures(NAME, [f"{root}/{path}" for path in test], labels[1], like=first),
            classes=len(wnids),
            flip=True,
        )

    files = ["wnids.txt", "val/val_annotations.txt", *train, *test]
    return Source(NAME, data_dir, [f"{FOLDER}/{file}" for file in files], decode)


def _validation(root: Path, wnids: list[str]) -> tuple[list[str], list[int]]:
    """Paths, relative to root, and labels of the validation images, in alphabetical order."""
    annotations = root / "val" / "val_annotations.txt"
    numbers, labels = {wnid: label for label, wnid in enumerate(wnids)}, {}
    for line in _lines(annotations):
        image, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in numbers:
            raise _damage(f"{annotations} puts {image} in {wnid or 'no class'}, not in wnids.txt")
        labels[image] = numbers[wnid]
    images = _images(root / "val" / "images")
    if odd := sorted(set(images) ^ set(labels)):
        where = "val_annotations.txt" if odd[0] in images else "val/images"
        raise _damage(f"{odd[0]}, and {len(odd) - 1} more, are missing in {root / where}")
    return [f"val/images/{image}" for image in images], [labels[image] for image in images]


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
            return sorted(e.name for e in entries if e.name.upper().endswith(".JPEG"))
    except OSError as error:
        raise _damage(f"no {directory}") from error


def _damage(what: str) -> MemregError:
    return MemregError(f"{NAME}: {what}: unpack {URL} anew")
