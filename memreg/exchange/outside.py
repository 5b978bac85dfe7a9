"""Members that were trained elsewhere, whatever the layout that held them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import margins
from memreg.data.dataset import array_digest
from memreg.data.labels import numbered, plain
from memreg.errors import MemregError
from memreg.members import Members, no_class, wrong_class
from memreg.registry.stored_cell import LABEL_KNOWN

Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
DIVERGED, WRONG = -1, -2
"""In files, what stands for no class at all, and for a wrong class that is not known."""
MOST_CLASSES = 65_534
UNKNOWN_SEED = -1
ABOVE_0 = 0.01
"""Margins above it are above 0 however they were rounded."""
CONTENT = ("included", "predicted", "p_label", "margin", "exact", "p_max")
"""Columns that say what an imported cell is, those that it has."""


@dataclass(frozen=True, eq=False)
class Outside:
    """k members, with what is known of their N = n_train + n_test examples, training first."""

    members: Members
    """Their predictions are `wrong_class` where all that is known is that they are wrong, and their
    probabilities NaN where they are not known."""
    labels: Labels
    """Shape [N]; 0 throughout where not known."""
    labels_known: bool = True
    sources: tuple[str, ...] = ()
    """What each member was called where it came from, where that is known."""
    class_labels: tuple[int | str, ...] | None = None
    """What the source calls each class, where that is not its number."""

    @property
    def n_train(self) -> int:
        return self.members.n_train

    @cached_property
    def content(self) -> str:
        """SHA-256 of what the members saw and predicted."""
        columns = self.members.columns
        parts = (columns[name] for name in CONTENT if name in columns)
        return hashlib.sha256(" ".join(map(array_digest, parts)).encode()).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the labels: what is known of the data set."""
        parts = (self.labels[: self.n_train], self.labels[self.n_train :])
        return hashlib.sha256(" ".join(["imported", *map(array_digest, parts)]).encode()).hexdigest()

    def examples(self) -> pd.DataFrame:
        """As examples.parquet."""
        sizes = {"train": self.n_train, "test": len(self.labels) - self.n_train}
        table = pd.DataFrame(
            {
                "split": [split for split, n in sizes.items() for _ in range(n)],
                "example": np.concatenate([np.arange(n) for n in sizes.values()]),
                "label": self.labels,
                LABEL_KNOWN: self.labels_known,
            }
        )
        if self.class_labels is not None:
            table["source_label"] = np.array([str(label) for label in self.class_labels])[self.labels]
        return table


@dataclass(frozen=True, eq=False)
class Brought:
    """What a source says of k members; None for what it does not say."""

    included: Flags
    """[k, n_train]"""
    correct: Flags | None = None
    """[k, N]; stands in for no `predicted`. So all that follow, but for labels: [N]."""
    labels: NDArray[Any] | None = None
    predicted: NDArray[Any] | None = None
    p_label: NDArray[Any] | None = None
    p_max: NDArray[Any] | None = None
    margin: NDArray[Any] | None = None
    """The label's log odds, by which `p_label` is known too; NaN for a member that has none."""
    sources: Sequence[str] = ()
    """What the source calls each member."""


def outside(path: Path, brought: Brought) -> Outside:
    """What was brought, checked. Raises `MemregError` if it is not the predictions of some members.

    path: what it was read from.
    """
    included, correct = brought.included, brought.correct
    labels, predicted = brought.labels, brought.predicted
    known = correct if correct is not None else predicted
    assert known is not None
    shape = np.asarray(known).shape
    if not included.size:
        raise MemregError(f"{path}: no members, or no training examples")
    if not included.any(1).all():
        raise MemregError(f"{path}: a member that includes no example was not trained")
    if predicted is not None and np.shape(predicted) != shape:
        raise MemregError(f"{path}: predicted must be classes, whole numbers, shape {shape}")
    labels_known = labels is not None
    if labels is None:
        labels, predicted = np.zeros(shape[1], np.int64), _without_labels(predicted, correct)
    labels, predicted, class_labels = _classes(path, labels, predicted, shape[1])
    if predicted is None:
        predicted = np.where(np.asarray(correct), labels, WRONG)
    if predicted.dtype.kind not in "iu" or predicted.min() < WRONG:
        raise MemregError(f"{path}: predicted must be classes, whole numbers, shape {shape}")
    diverged = predicted == DIVERGED
    if (diverged.any(1) & ~diverged.all(1)).any():
        raise MemregError(f"{path}: a member that diverged has the class {DIVERGED} for every example")
    classes = 1 + int(max(labels.max(), predicted.max()))
    if classes > MOST_CLASSES:
        raise MemregError(f"{path}: class {classes - 1}, but there can be {MOST_CLASSES} at most")
    reserved = no_class(classes + 1)
    stored = np.where(diverged, reserved, predicted)
    stored = np.where(predicted == WRONG, wrong_class(classes + 1), stored)
    k = len(included)
    members = Members(
        {
            "member": np.arange(k, dtype=np.int32),
            "seed": np.full(k, UNKNOWN_SEED, np.int64),
            "included": included,
            "predicted": stored.astype(np.uint8 if reserved == 255 else np.uint16),
            "p_max": _probabilities(path, "p_max", brought.p_max, shape),
            **_sure(path, brought, shape, diverged.all(1)),
        }
    )
    if brought.margin is not None and (members.p_max == 0).any():
        raise MemregError(f"{path}: p_max is the probability of the predicted class, and cannot be 0")
    sure_and_wrong = members.exact[:, None] & (members.margin > ABOVE_0) & ~members.correct(labels)
    if sure_and_wrong.any():
        raise MemregError(
            f"{path}: margin is above 0 where the prediction is wrong: it must be the label's log odds, "
            "log(p / (1 - p))"
        )
    return Outside(members, labels, labels_known, tuple(brought.sources), class_labels)


def _without_labels(predicted: NDArray[Any] | None, correct: Flags | None) -> NDArray[Any] | None:
    """Without labels the class 0 is the right one, and predictions say only which members diverged."""
    if predicted is None or correct is None:
        return predicted
    right = np.where(np.asarray(correct), 0, WRONG)
    return np.where((predicted == DIVERGED).all(1, keepdims=True), DIVERGED, right)


def contradiction(read: Outside, correct: Flags) -> tuple[int, int] | None:
    """The first member and example of which `correct`, [k, N], is not what predictions and labels say."""
    wrong = np.argwhere(read.members.correct(read.labels) != correct)
    return (int(wrong[0, 0]), int(wrong[0, 1])) if len(wrong) else None


def same_names(path: Path, labels: NDArray[Any], predicted: NDArray[Any]) -> None:
    """Raises `MemregError` where labels are names and predictions numbers, or the other way round."""
    texts = [any(isinstance(value, str) for value in array.flat) for array in (labels, predicted)]
    if texts[0] != texts[1]:
        raise MemregError(f"{path}: of label and predicted one has names and the other numbers")


def _classes(
    path: Path, labels: NDArray[Any], predicted: NDArray[Any] | None, n: int
) -> tuple[Labels, NDArray[Any] | None, tuple[int | str, ...] | None]:
    """Labels and predictions as classes that can be stored, and what these were called if numbered."""
    known = plain(str(path), "labels", labels, text=True) if np.ndim(labels) else labels
    if known.dtype.kind != "U" and (known.size == 0 or known.max() < MOST_CLASSES):
        return checked_labels(path, known, n), None if predicted is None else np.asarray(predicted), None
    if known.dtype.kind != "U":
        checked_ids(path, known, n)
    if known.shape != (n,) or (known.dtype.kind == "U" and (known == "").any()):
        raise MemregError(f"{path}: labels must be {n}, and none of them blank")
    arrays = [known]
    if predicted is not None:
        classes = plain(str(path), "predicted", np.reshape(predicted, -1), text=True)
        special = classes < 0 if classes.dtype.kind == "i" else np.zeros(len(classes), bool)
        arrays.append(classes[~special])
    numbers, class_labels, _ = numbered(arrays)
    if predicted is None:
        return numbers[0], None, class_labels
    stored = np.full(len(classes), 0, np.int64)
    stored[special] = classes[special]
    stored[~special] = numbers[1]
    return numbers[0], stored.reshape(np.shape(predicted)), class_labels


def _probabilities(
    path: Path, name: str, values: NDArray[Any] | None, shape: tuple[int, ...]
) -> NDArray[np.float16]:
    array = np.full(shape, np.nan) if values is None else np.asarray(values)
    if array.shape != shape or array.dtype.kind != "f" or (array < 0).any() or (array > 1.001).any():
        raise MemregError(f"{path}: {name} must be probabilities, shape {shape}")
    return array.astype(np.float16)


def _sure(path: Path, brought: Brought, shape: tuple[int, ...], diverged: Flags) -> dict[str, NDArray[Any]]:
    """`margin` where every member has one, `p_label` where none has, else all of `SURE`."""
    p_label = _probabilities(path, "p_label", brought.p_label, shape)
    if brought.margin is None:
        return {"p_label": p_label}
    margin = np.asarray(brought.margin)
    if margin.shape != shape or margin.dtype.kind not in "iuf":
        raise MemregError(f"{path}: margin must be the label's log odds, shape {shape}")
    exact = diverged | ~np.isnan(margin).any(1)
    if not (exact & ~diverged).any():
        return {"p_label": p_label}
    if exact.all():
        return {"margin": margins.stored(margin)}
    either = np.where(exact[:, None], margin, margins.clipped(p_label))
    return {"margin": margins.stored(either), "p_label": p_label, "exact": exact}


def checked_labels(path: Path, values: NDArray[Any], n: int) -> Labels:
    return checked_ids(path, values, n).astype(np.int64)


def checked_ids(path: Path, values: NDArray[Any], n: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "iu" or array.shape != (n,) or array.min() < 0:
        raise MemregError(f"{path}: labels must be {n} whole numbers from 0, not {array.dtype} {array.shape}")
    return array


def checked_flags(path: Path, name: str, values: NDArray[Any]) -> Flags:
    array = np.asarray(values)
    if array.dtype == object:  # as pandas reads a column of a CSV that has blanks
        text = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
        array = np.array([text.get(str(value).lower(), 2) for value in array.flat]).reshape(array.shape)
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise MemregError(f"{path}: {name} must be true or false, or 1 or 0")
    return array.astype(bool)
