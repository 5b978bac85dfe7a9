"""Planted sub-populations: examples whose memorization is known before anything is trained.

The paper's white, black and pink cats. A sub-population is a number of images of one class, its
source, that share a strong pattern and carry the label of another class. A network can tell their
label only from others of the same sub-population: without them it sees the source class. So under
leave-one-out a singleton scores near 1, and a member of a large sub-population near 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memreg import random
from memreg.data.dataset import Dataset
from memreg.errors import MemregError

SOURCE, LABEL, PATTERN, TRAIN, TEST = 11, 12, 13, 14, 15  # streams of one seed

STRENGTH = 0.5
"""Share of the pattern in the blend.

Tuned on digits with a small convolutional network, 30 epochs, where every planted image is fitted
and the accuracy on a left-out one is .01, .71, .97, 1, 1, 1 for sub-populations of 1, 2, 3, 5, 8,
15; on 2,000 images of CIFAR-10 .04, .83, .96, 1, 1, 1. Weaker patterns need more companions: at
.3 on digits 0, .10, .56, .88, .96, .96.
"""
CELLS = 8
"""Patterns are CELLS x CELLS squares, whatever the image's size: visible after pooling."""
TEST_IMAGES = 5
"""Test images of each sub-population, whatever its size."""


def with_planted(dataset: Dataset, sizes: Sequence[int], seed: int) -> Dataset:
    """Sub-populations g = 0, 1, ... behind the ordinary images, rows in order of g.

    Each has sizes[g] training images and TEST_IMAGES test images. Its sources are ordinary images
    of its source class, training ones from the training images and test ones from the test images;
    they stay in the set as they were.

    Raises `MemregError` where the source class has too few images, and where there are no two classes.
    """
    present = np.intersect1d(dataset.train_labels, dataset.test_labels)
    if len(present) < 2:
        raise MemregError(
            f"planted needs two classes with training and test examples: {dataset.name} has fewer"
        )
    sources, labels = (present[number] for number in _classes(len(present), len(sizes), seed))
    patterns = [_pattern(dataset.train_images.shape[1:], seed, g) for g in range(len(sizes))]

    def planted(
        images: NDArray[np.uint8], classes: NDArray[np.int64], counts: Sequence[int], stream: int
    ) -> NDArray[np.uint8]:
        made = []
        for g, count in enumerate(counts):
            pool = np.flatnonzero(classes == sources[g])
            if len(pool) < count:
                raise MemregError(
                    f"{dataset.name} has {len(pool)} images of class {sources[g]} to plant a "
                    f"sub-population of {count}: choose smaller planted_sizes or a larger subset"
                )
            chosen = pool[random.order(len(pool), seed, stream, g)[:count]]
            made.append(_blend(images[chosen], patterns[g]))
        return np.concatenate([images, *made])

    test_sizes = [TEST_IMAGES] * len(sizes)
    numbers = np.arange(len(sizes))
    files = dataset.files
    if files is not None:
        made = [np.full(sum(counts), "") for counts in (sizes, test_sizes)]
        files = np.concatenate([files[: dataset.n_train], made[0], files[dataset.n_train :], made[1]])
    return replace(
        dataset,
        train_images=planted(dataset.train_images, dataset.train_labels, sizes, TRAIN),
        train_labels=np.concatenate([dataset.train_labels, np.repeat(labels, sizes)]),
        test_images=planted(dataset.test_images, dataset.test_labels, test_sizes, TEST),
        test_labels=np.concatenate([dataset.test_labels, np.repeat(labels, test_sizes)]),
        groups=np.concatenate(
            [
                np.full(dataset.n_train, -1),
                np.repeat(numbers, sizes),
                np.full(dataset.n_test, -1),
                np.repeat(numbers, test_sizes),
            ]
        ),
        files=files,
        known_digests=(None, None),
    )


def _classes(classes: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source class and label of each sub-population, shape [count]: different, evenly used, by their places
    among the classes that have training and test examples."""
    rounds = -(-count // classes)
    orders = [random.order(classes, seed, SOURCE, k) for k in range(rounds)]
    sources = np.concatenate(orders)[:count]
    shift = 1 + random.order(count, seed, LABEL) % (classes - 1)
    return sources, (sources + shift) % classes


def _pattern(shape: tuple[int, ...], seed: int, group: int) -> NDArray[np.uint8]:
    """Black and white squares, half of each in every channel, shape [height, width, channels]."""
    height, width, channels = shape
    n = CELLS * CELLS
    cells = np.stack(
        [random.order(n, seed, PATTERN, group, c) < n // 2 for c in range(channels)], axis=-1
    ).reshape(CELLS, CELLS, channels)
    rows, columns = np.arange(height) * CELLS // height, np.arange(width) * CELLS // width
    return np.where(cells[rows][:, columns], 255, 0).astype(np.uint8)


def _blend(images: NDArray[np.uint8], pattern: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(1 - STRENGTH) * image + STRENGTH * pattern, shape [n, height, width, channels]."""
    mixed = (1 - STRENGTH) * images.astype(np.float32) + STRENGTH * pattern
    return np.rint(mixed).astype(np.uint8)
