"""What a base set on disk is: its files, and how to read them in their original format."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg.data.pixels import fitted, refusal, rgb
from memreg.errors import MemregError
from memreg.resources import cores


@dataclass(frozen=True)
class Split:
    """Training or test images in the order of the rows, read as they are asked for."""

    labels: NDArray[np.int64]
    """Shape [n]."""
    shape: tuple[int, int, int]
    """(height, width, channels) of every image."""
    images: Iterable[NDArray[np.uint8]]
    """Blocks of shape [k, height, width, channels], n rows in all."""


@dataclass(frozen=True)
class Decoded:
    train: Split
    test: Split
    classes: int
    flip: bool
    """Whether a mirrored image keeps its label."""
    class_labels: tuple[int | str, ...] | None = None
    """As `Dataset.class_labels`."""
    files: Sequence[str] | None = None
    """As `Dataset.files`."""


@dataclass(frozen=True)
class Source:
    """A base set whose files are there. Reading them may still find damage: `MemregError`."""

    name: str
    """Canonical base name."""
    directory: Path
    """Where the files lie: the cache goes into it."""
    files: Sequence[str]
    """All of them, relative to `directory`: one that has changed means decoding anew."""
    decode: Callable[[], Decoded]
    notice: str = ""
    """What was passed over, in a line for the user; "" for nothing."""
    size: int = 0
    """Side to which `decode` brings the images, leaving out what it cannot read; 0 where it does neither."""
    named: bool = False
    """Whether `decode` knows what classes are called that earlier versions numbered alone."""


def expanded(path: Path) -> Path:
    """The path with ~ and ~user written out. Raises `MemregError` where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise MemregError(f"{path}: there is no user of this name") from error


def whole(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    """A split that is in memory: images [n, height, width, channels], labels [n]."""
    height, width, channels = images.shape[1:]
    return Split(labels, (height, width, channels), [images])


def pictures(name: str, paths: Sequence[str], labels: NDArray[np.int64], like: str) -> Split:
    """A split of image files, one after another as RGB, grey ones too, of the size of `like`.

    Raises `MemregError`, naming the file, for one that cannot be decoded exactly or has another size.
    """
    shape = picture(name, like).shape
    height, width, channels = shape

    def images() -> Iterator[NDArray[np.uint8]]:
        for path in paths:
            image = picture(name, path)
            if image.shape != shape:
                raise MemregError(
                    f"{name}: all images must have the same size, but {path} has "
                    f"{image.shape[0]}x{image.shape[1]} pixels and {like} {height}x{width}: "
                    f"resize them first"
                )
            yield image[None]

    return Split(labels, (height, width, channels), images())


def fitted_pictures(paths: Sequence[str], side: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Image files as RGB of this height and width, shape [k, side, side, 3], and which of them can be read,
    shape [n]."""
    images = np.empty((len(paths), side, side, 3), np.uint8)

    def read(number: int) -> bool:
        from PIL import Image

        try:
            with Image.open(paths[number]) as image:
                if refusal(image, see_through=True) is not None:
                    return False
                images[number] = fitted(image, side)
        except Exception as error:  # PIL's decoders raise of every kind
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
                raise  # the disk's fault, or the machine's, and not the image's
            return False
        return True

    with ThreadPoolExecutor(cores()) as pool:
        known = np.fromiter(pool.map(read, range(len(paths))), bool, len(paths))
    return images[known], known


def picture(name: str, path: str) -> NDArray[np.uint8]:
    """One image file as RGB, shape [height, width, 3]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if (why := refusal(image)) is None:
                return rgb(image)
    except Exception as error:  # PIL's decoders raise of every kind
        raise MemregError(f"{name}: cannot decode {path}: get this file anew") from error
    raise MemregError(f"{name}: {path} {why}")
