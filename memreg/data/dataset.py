"""What a data set is to the rest of memreg: arrays, and a fingerprint of them."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

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
    files: NDArray[np.str_] | None = None
    """Shape [n_train + n_test], where each image has a file: its path in the data set's directory, "" where
    an image was made from others."""
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
        numbered `source_label`, what the data calls the label's class, as text; where images have files
        `file`. Bytes of names that are no UTF-8 stand as `\\xff`."""
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
            table["source_label"] = np.array([_text(label) for label in self.class_labels])[table["label"]]
        if self.files is not None:
            table["file"] = [_text(file) for file in self.files.tolist()]
        return table

    def first(self, examples: int) -> "Dataset":
        """At most so many images and labels of each split, and nothing else that is known of them."""
        return replace(
            self,
            train_images=self.train_images[:examples],
            train_labels=self.train_labels[:examples],
            test_images=self.test_images[:examples],
            test_labels=self.test_labels[:examples],
            clean_labels=None,
            groups=None,
            files=None,
            known_digests=(None, None),
        )

    def only(self, train: NDArray[np.int64], test: NDArray[np.int64] | None = None) -> "Dataset":
        """Take these training and test examples, by index and in this order; by default every test example.

        Only for a data set that has neither clean labels nor groups.
        """
        changed: dict[str, Any] = {
            "train_images": self.train_images[train],
            "train_labels": self.train_labels[train],
            "known_digests": (None, self.known_digests[1] if test is None else None),
        }
        if test is not None:
            changed |= {"test_images": self.test_images[test], "test_labels": self.test_labels[test]}
        if self.files is not None:
            files = self.files[self.n_train :]
            kept = [self.files[train], files if test is None else files[test]]
            changed["files"] = np.concatenate(kept)
        return replace(self, **changed)

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


def _text(name: int | str) -> str:
    return str(name).encode(errors="surrogateescape").decode(errors="backslashreplace")


def array_digest(array: NDArray[np.generic]) -> str:
    """SHA-256, in hexadecimal, over dtype, shape and contents in C order."""
    digest = hashlib.sha256(digest_header(array.dtype, array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_header(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """What an array's digest begins with, so that equal bytes of another shape differ."""
    return f"{dtype.str} {'x'.join(map(str, shape))} ".encode()
