"""Members that were trained elsewhere, whatever the layout that held them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.data.dataset import array_digest
from memreg.errors import MemregError
from memreg.prediction import no_class, wrong_class

Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
DIVERGED, WRONG = -1, -2
"""In files, what stands for no class at all, and for a wrong class that is not known."""
MOST_CLASSES = 65_534
UNKNOWN_SEED = -1


@dataclass(frozen=True, eq=False)
class Outside:
    """k members. N = n_train + n_test, training examples first."""

    included: Flags
    """Shape [k, n_train]."""
    predicted: NDArray[np.unsignedinteger[Any]]
    """Class, shape [k, N]; `no_class` throughout for a member that diverged, `wrong_class` where all that is
    known is that it is wrong."""
    p_label: NDArray[np.float16]
    """Shape [k, N], NaN where not known; so `p_max`."""
    p_max: NDArray[np.float16]
    labels: Labels
    """Shape [N]; 0 throughout where not known."""

    @property
    def n_train(self) -> int:
        return int(self.included.shape[1])

    @cached_property
    def content(self) -> str:
        """SHA-256 of what the members saw and predicted."""
        parts = (self.included, self.predicted, self.p_label, self.p_max)
        return hashlib.sha256(" ".join(map(array_digest, parts)).encode()).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the labels: what is known of the data set."""
        parts = (self.labels[: self.n_train], self.labels[self.n_train :])
        return hashlib.sha256(" ".join(["imported", *map(array_digest, parts)]).encode()).hexdigest()

    def examples(self) -> pd.DataFrame:
        """As examples.parquet."""
        sizes = {"train": self.n_train, "test": len(self.labels) - self.n_train}
        return pd.DataFrame(
            {
                "split": [split for split, n in sizes.items() for _ in range(n)],
                "example": np.concatenate([np.arange(n) for n in sizes.values()]),
                "label": self.labels,
            }
        )

    def shard(self, first: int, stop: int) -> dict[str, NDArray[Any]]:
        """The columns of a shard with the members first .. stop-1."""
        member = np.arange(first, min(stop, len(self.included)))
        return {
            "member": member,
            "seed": np.full(len(member), UNKNOWN_SEED),
            "included": self.included[member],
            "predicted": self.predicted[member],
            "p_label": self.p_label[member],
            "p_max": self.p_max[member],
        }


def outside(
    path: Path,
    included: Flags,
    correct: Flags,
    labels: Labels | None,
    predicted: NDArray[Any] | None,
    p_label: NDArray[Any] | None,
    p_max: NDArray[Any] | None,
) -> Outside:
    """Raises `MemregError` if these are not the predictions of some members. path: what they were read from.

    included: [k, n_train]; labels: [N]; all else: [k, N]. `correct` stands in for no `predicted`.
    """
    if not included.size:
        raise MemregError(f"{path}: no members, or no training examples")
    if not included.any(1).all():
        raise MemregError(f"{path}: a member that includes no example was not trained")
    if labels is None:
        labels = np.zeros(correct.shape[1], np.int64)
    if predicted is None:
        predicted = np.where(correct, labels, WRONG)
    predicted = np.asarray(predicted)
    if predicted.shape != correct.shape or predicted.dtype.kind not in "iu" or predicted.min() < WRONG:
        raise MemregError(f"{path}: predicted must be classes, whole numbers, shape {correct.shape}")
    diverged = predicted == DIVERGED
    if (diverged.any(1) & ~diverged.all(1)).any():
        raise MemregError(f"{path}: a member that diverged has the class {DIVERGED} for every example")
    classes = 1 + int(max(labels.max(), predicted.max()))
    if classes > MOST_CLASSES:
        raise MemregError(f"{path}: class {classes - 1}, but there can be {MOST_CLASSES} at most")
    reserved = no_class(classes + 1)
    stored = np.where(diverged, reserved, predicted)
    stored = np.where(predicted == WRONG, wrong_class(classes + 1), stored)
    return Outside(
        included,
        stored.astype(np.uint8 if reserved == 255 else np.uint16),
        _probabilities(path, "p_label", p_label, correct.shape),
        _probabilities(path, "p_max", p_max, correct.shape),
        labels,
    )


def _probabilities(
    path: Path, name: str, values: NDArray[Any] | None, shape: tuple[int, ...]
) -> NDArray[np.float16]:
    array = np.full(shape, np.nan) if values is None else np.asarray(values)
    if array.shape != shape or array.dtype.kind != "f" or (array < 0).any() or (array > 1.001).any():
        raise MemregError(f"{path}: {name} must be probabilities, shape {shape}")
    return array.astype(np.float16)


def checked_labels(path: Path, values: NDArray[Any], n: int) -> Labels:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.shape != (n,) or array.min() < 0:
        raise MemregError(f"{path}: labels must be {n} whole numbers from 0, not {array.dtype} {array.shape}")
    return array.astype(np.int64)


def checked_flags(path: Path, name: str, values: NDArray[Any]) -> Flags:
    array = np.asarray(values)
    if array.dtype == object:  # as pandas reads a column of a CSV that has blanks
        text = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
        array = np.array([text.get(str(value).lower(), 2) for value in array.flat]).reshape(array.shape)
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise MemregError(f"{path}: {name} must be true or false, or 1 or 0")
    return array.astype(bool)
