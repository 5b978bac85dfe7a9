"""Labels as people have them, and the classes 0, 1, ... that networks learn and predictions are stored in.

Ids that begin at 1, have gaps or are far above what is stored, and names, are numbered in their order.
Nothing is renumbered where labels are 0 .. classes-1 already, each of them in use.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError

Label = int | str


def plain(name: str, key: str, value: Any, text: bool = False) -> NDArray[Any]:
    """Labels as an array of whole numbers (or, if `text`, of names), shape [n]; [n, 1] is taken for [n].

    Raises `MemregError` for all else: fractions, a column for each class, entries that are masked.
    """
    array: NDArray[Any] = np.asanyarray(value)
    if array.ndim > 1 and array.shape == (len(array), *(1,) * (array.ndim - 1)):
        array = array.reshape(-1)
    if array.dtype == object and array.ndim == 1:
        array = _of_objects(array)
    if array.dtype.kind not in ("iubU" if text else "iub") or array.ndim != 1 or np.ma.isMaskedArray(array):
        raise MemregError(
            f"{name}: {key} is {array.dtype} of shape {array.shape}: it must be whole numbers of shape [n]"
            f"{_hint(array)}"
        )
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def numbered(arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[np.int64]], tuple[Label, ...] | None, int]:
    """Labels as classes; the label of each class, None where it is its number; how many classes.

    Exact for every type of whole number, also beside others: no value passes through a float.
    """
    found = [np.unique(array, return_inverse=True) for array in arrays]
    values = [unique.tolist() for unique, _ in found]
    labels = sorted({label for listed in values for label in listed}, key=lambda v: (isinstance(v, str), v))
    number = {label: i for i, label in enumerate(labels)}
    classes = [
        np.array([number[label] for label in listed], np.int64)[inverse.reshape(-1)]
        for listed, (_, inverse) in zip(values, found, strict=True)
    ]
    return classes, None if labels == list(range(len(labels))) else tuple(labels), len(labels)


def _of_objects(array: NDArray[Any]) -> NDArray[Any]:
    """An array of Python's own whole numbers, or of its own texts, with a type; any other as it is."""
    for kind in (int, str):
        if all(isinstance(value, kind | np.generic) and not isinstance(value, bool) for value in array):
            typed = np.array(array.tolist())
            return typed if typed.dtype.kind in "iuU" else array
    return array


def _hint(array: NDArray[Any]) -> str:
    if array.ndim == 2 and array.dtype.kind in "iubf" and array.shape[1] > 1:
        return ": of one column for each class take .argmax(1)"
    return ": .astype(int), if every one of them is whole" if array.dtype.kind == "f" else ""
