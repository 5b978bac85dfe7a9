"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017), from their IDX files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg.data.fetch import fetch
from memreg.data.source import Decoded, Source, Split, whole
from memreg.errors import MemregError

# Repeated from torchvision, whose import takes longer than opening a cache.
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
URLS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
FILES = [
    f"{split}-{part}" for split in ("train", "t10k") for part in ("images-idx3-ubyte", "labels-idx1-ubyte")
]


def mnist(name: str, data_dir: Path) -> Source:
    """`mnist` or `fashion_mnist`: 60,000 training and 10,000 test images, [n, 28, 28, 1].

    Files are looked for in MNIST/raw or FashionMNIST/raw, unpacked or as .gz. The MD5 sums that
    torchvision knows are those of the .gz; an unpacked file is checked for its form and length.
    """
    raw = f"{FOLDERS[name]}/raw"
    how = f"put the four .gz files of {URLS[name]} in {data_dir / raw}"
    fetch(name, data_dir, FOLDERS[name], how, lambda to: download(name, to))
    files = []
    for file in FILES:
        found = [f for f in (file, f"{file}.gz") if (data_dir / raw / f).is_file()]
        if not found:
            raise MemregError(f"{name}: there is no {data_dir / raw / file}, nor its .gz: {how}")
        files.append(f"{raw}/{found[0]}")

    def decode() -> Decoded:
        from torchvision import datasets
        from torchvision.datasets.utils import check_integrity

        sums = dict(getattr(datasets, FOLDERS[name]).resources)
        for file in files:
            md5 = sums.get(Path(file).name)
            if md5 and not check_integrity(data_dir / file, md5):
                raise MemregError(f"{name}: {data_dir / file} is damaged, its MD5 is not {md5}: {how} anew")
        clothes = name == "fashion_mnist"
        names = tuple(datasets.FashionMNIST.classes) if clothes else None
        return Decoded(split(*files[:2]), split(*files[2:]), classes=10, flip=clothes, class_labels=names)

    def split(images: str, labels: str) -> Split:
        return whole(
            read_idx(name, data_dir / images, dimensions=3)[..., None],
            read_idx(name, data_dir / labels, dimensions=1).astype(np.int64),
        )

    return Source(name, data_dir, files, decode, named=name == "fashion_mnist")


def read_idx(name: str, path: Path, dimensions: int) -> NDArray[np.uint8]:
    """A file of unsigned bytes in IDX format: 0 0 8 dimensions, big-endian sizes, contents."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MemregError(f"{name}: cannot unpack {path}: get it anew") from error
    start = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) != start + math.prod(shape):
        raise MemregError(
            f"{name}: {path} is damaged, not a whole IDX file of {dimensions} dimensions: get it anew"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def download(name: str, directory: Path) -> None:
    from torchvision import datasets

    getattr(datasets, FOLDERS[name])(directory, download=True)
