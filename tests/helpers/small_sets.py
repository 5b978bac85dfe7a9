"""Tiny data sets in the original formats, written by the tests."""

import gzip
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets

from memreg.data.mnist import FILES, FOLDERS
from memreg.data.tiny_imagenet import FOLDER


def random_images(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_cifar100(root: Path, patch: pytest.MonkeyPatch) -> dict[str, NDArray[np.uint8]]:
    """Pickles as the official ones, and torchvision told of their MD5 sums. Returns the images."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    made, sums = {}, {}
    for file, n in (("train", 8), ("test", 4)):
        made[file] = random_images(n, 32, 32, 3, seed=n)
        data = made[file].transpose(0, 3, 1, 2).reshape(n, 3072)
        labels = [(7 * k) % 100 for k in range(n)]
        content = pickle.dumps({"data": data, "fine_labels": labels}, protocol=2)
        (folder / file).write_bytes(content)
        sums[file] = hashlib.md5(content).hexdigest()
    content = pickle.dumps({"fine_label_names": [f"kind_{k}" for k in range(100)]}, protocol=2)
    (folder / "meta").write_bytes(content)
    kind = datasets.CIFAR100
    patch.setattr(kind, "train_list", [["train", sums["train"]]])
    patch.setattr(kind, "test_list", [["test", sums["test"]]])
    patch.setattr(kind, "meta", {**kind.meta, "md5": hashlib.md5(content).hexdigest()})
    return made


def idx(array: NDArray[np.uint8]) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_mnist(root: Path, name: str, zipped: bool = False) -> dict[str, NDArray[np.uint8]]:
    folder = root / FOLDERS[name] / "raw"
    folder.mkdir(parents=True)
    made = {}
    for file in FILES:
        n = 12 if file.startswith("train") else 5
        labels = np.arange(n, dtype=np.uint8) % 10
        made[file] = random_images(n, 28, 28, seed=n) if "images" in file else labels
        if zipped:
            (folder / f"{file}.gz").write_bytes(gzip.compress(idx(made[file])))
        else:
            (folder / file).write_bytes(idx(made[file]))
    return made


def write_tiny_imagenet(root: Path) -> Path:
    """Two classes of three training images each, one of them grey, and four validation images."""
    base = root / FOLDER
    (base / "val" / "images").mkdir(parents=True)
    (base / "wnids.txt").write_text("n02\nn01\n")
    for k, wnid in enumerate(("n01", "n02")):
        images = base / "train" / wnid / "images"
        images.mkdir(parents=True)
        (images.parent / f"{wnid}_boxes.txt").write_text("ignored\n")
        for j in range(3):
            picture = Image.fromarray(flat_image(40 * k + 10 * j))
            (picture.convert("L") if j == 1 else picture).save(images / f"{wnid}_{j}.JPEG")
    lines = []
    for j in range(4):
        Image.fromarray(flat_image(200 + 10 * j)).save(base / "val" / "images" / f"val_{j}.JPEG")
        lines.append(f"val_{j}.JPEG\tn0{1 + j % 2}\t0\t0\t62\t62\n")
    (base / "val" / "val_annotations.txt").write_text("".join(lines))
    return base


def flat_image(brightness: int, side: int = 64) -> NDArray[np.uint8]:
    """One colour everywhere, grey: JPEG leaves it as it is."""
    return np.full((side, side, 3), brightness, np.uint8)


def write_folder(root: Path, test: str = "test") -> Path:
    for part, n in (("train", 3), (test, 1)):
        for k, kind in enumerate(("ant", "bee")):
            (root / part / kind / "deep").mkdir(parents=True)
            for j in range(n):
                place = root / part / kind / ("deep" if j == 2 else "")
                image = random_images(10, 12, 3, seed=100 * k + 10 * n + j)
                Image.fromarray(image).save(place / f"{j}.png")
    (root / "train" / "ant" / "notes.txt").write_text("not an image")
    return root


def arrays(n: int = 6, m: int = 4) -> dict[str, NDArray[np.generic]]:
    return {
        "train_images": random_images(n, 9, 7),
        "train_labels": np.arange(n) % 3,
        "test_images": random_images(m, 9, 7, seed=1),
        "test_labels": np.arange(m) % 3,
    }
