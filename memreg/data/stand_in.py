"""A stand-in has a named data set's shape, so that training can be timed without the data."""

import numpy as np
from numpy.typing import NDArray

from memreg.data.dataset import Dataset
from memreg.data.derived import derive
from memreg.data.name import parse

SHAPES = {  # n_train, n_test, (height, width, channels), classes, flip
    "cifar10": (50_000, 10_000, (32, 32, 3), 10, True),
    "cifar100": (50_000, 10_000, (32, 32, 3), 100, True),
    "mnist": (60_000, 10_000, (28, 28, 1), 10, False),
    "fashion_mnist": (60_000, 10_000, (28, 28, 1), 10, True),
    "tiny_imagenet": (100_000, 10_000, (64, 64, 3), 200, True),
}


def stand_in(name: str) -> Dataset | None:
    """A data set of the named one's shape, all its images one random image; None for an unknown shape."""
    base, options = parse(name)
    if base not in SHAPES:
        return None
    n_train, n_test, shape, classes, flip = SHAPES[base]
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    dataset = Dataset(
        name=base,
        train_images=_repeated(image, n_train),
        train_labels=np.arange(n_train) % classes,
        test_images=_repeated(image, n_test),
        test_labels=np.arange(n_test) % classes,
        classes=classes,
        flip=flip,
        known_digests=(f"stand-in for {base}", f"stand-in for {base}"),
    )
    return derive(dataset, options)


def _repeated(image: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """Shape [n, ...], of the memory of one image."""
    return np.broadcast_to(image, (n, *image.shape))
