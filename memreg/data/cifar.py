"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), through torchvision and its MD5 sums."""

from pathlib import Path
from typing import Any

import numpy as np

from memreg.data.fetch import fetch
from memreg.data.source import Decoded, Source, Split, whole
from memreg.errors import MemregError

# Repeated from torchvision, whose import takes longer than opening a cache.
FILES = {
    "cifar10": [
        "cifar-10-batches-py/batches.meta",
        *(f"cifar-10-batches-py/data_batch_{k}" for k in range(1, 6)),
        "cifar-10-batches-py/test_batch",
    ],
    "cifar100": [f"cifar-100-python/{file}" for file in ("meta", "train", "test")],
}


def cifar(name: str, data_dir: Path) -> Source:
    """`cifar10` or `cifar100`: 50,000 training and 10,000 test images, [n, 32, 32, 3]."""
    folder = FILES[name][0].partition("/")[0]
    archive = f"https://www.cs.toronto.edu/~kriz/{name[:5]}-{name[5:]}-python.tar.gz"
    how = f"unpack {archive} in {data_dir}"
    fetch(name, data_dir, folder, how, lambda to: download(name, to))
    for file in FILES[name]:
        if not (data_dir / file).is_file():
            raise MemregError(f"{name}: there is no {data_dir / file}: {how} anew")

    def decode() -> Decoded:
        from torchvision import datasets
        from torchvision.datasets.utils import check_integrity

        kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
        sums = {**dict(kind.train_list + kind.test_list), kind.meta["filename"]: kind.meta["md5"]}
        for file, md5 in sums.items():
            if not check_integrity(data_dir / folder / file, md5):
                raise MemregError(
                    f"{name}: {data_dir / folder / file} is damaged, its MD5 is not {md5}: {how} anew"
                )

        def split(images: Any) -> Split:
            return whole(images.data, np.array(images.targets, np.int64))

        train, test = kind(data_dir, train=True), kind(data_dir, train=False)
        names = tuple(train.classes)
        return Decoded(split(train), split(test), len(names), flip=True, class_labels=names)

    return Source(name, data_dir, FILES[name], decode, named=True)


def download(name: str, directory: Path) -> None:
    from torchvision import datasets

    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    kind(directory, download=True)
