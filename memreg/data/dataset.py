"""What a data set is to the rest of memreg: arrays, and a fingerprint of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, training and test. Images may be memory-mapped."""

    name: str
    """Canonical name, options and all: what a cell and the registry call it."""
    train_images: NDArray[np.uint8]
    """Shape [n_train, height, width, channels]."""
    train_labels: NDArray[np.int64]
    """Shape [n_train], 0 .. classes-1: the labels that networks are trained on."""
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: int
    flip: bool
    """Whether a mirrored image keeps its label."""
    clean_labels: NDArray[np.int64] | None = None
    """Shape [n_train], where label noise was planted: the labels before it."""
    groups: NDArray[np.int64] | None = None
    """Shape [n_train + n_test], where sub-populations were planted: the sub-population's number, -1 for none."""

    @property
    def n_train(self) -> int:
        return len(self.train_labels)

    @property
    def n_test(self) -> int:
        return len(self.test_labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        height, width, channels = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes and contents of images and labels, in hexadecimal."""
        digest = hashlib.sha256(f"{self.classes} {self.flip}".encode())
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
