"""What a data set is to the rest of memreg: arrays, and a fingerprint of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, training and test. Arrays may be memory-mapped; none is written to."""

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
    """Shape [n_train + n_test], where sub-populations were planted: their numbers, -1 for none."""
    class_labels: tuple[int | str, ...] | None = None
    """What the data's own labels called each class, where that is not its number."""
    known_digests: tuple[str | None, str | None] = (None, None)
    """`array_digest` of the training and of the test images, where already known."""

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

    def examples(self) -> pd.DataFrame:
        """One row per example, training first: `split`, `example` (index in its split), `label`, and where
        planted `clean_label` (the given label in the test split) and `group`; where classes have been
        numbered `source_label`, what the data calls the label's class, as text."""
        table = pd.DataFrame(
            {
                "split": ["train"] * self.n_train + ["test"] * self.n_test,
                "example": np.concatenate([np.arange(self.n_train), np.arange(self.n_test)]),
                "label": np.concatenate([self.train_labels, self.test_labels]),
            }
        )
        if self.clean_labels is not None:
            table["clean_label"] = np.concatenate([self.clean_labels, self.test_labels])
        if self.groups is not None:
            table["group"] = self.groups
        if self.class_labels is not None:
            table["source_label"] = np.array([str(label) for label in self.class_labels])[table["label"]]
        return table

    @cached_property
    def digests(self) -> tuple[str, str]:
        """`array_digest` of the training and of the test images: 1 GB takes about a second."""
        train, test = self.known_digests
        return train or array_digest(self.train_images), test or array_digest(self.test_images)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over the digests of images and labels, the classes and the flip.

        A function of the contents alone. Since it is made of digests, a derived set that keeps its
        base's images need not read them again.
        """
        parts = (
            *self.digests,
            array_digest(self.train_labels),
            array_digest(self.test_labels),
            f"{self.classes} {self.flip}",
        )
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def array_digest(array: NDArray[np.generic]) -> str:
    """SHA-256, in hexadecimal, over dtype, shape and contents in C order."""
    digest = hashlib.sha256(digest_header(array.dtype, array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_header(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """What an array's digest begins with, so that equal bytes of another shape differ."""
    return f"{dtype.str} {'x'.join(map(str, shape))} ".encode()
