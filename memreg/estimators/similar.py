"""Which examples networks see alike: groups of training examples by what the last layer is given of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NEAREST = 10
"""Of its class, that an example may be put together with."""
DIGITS = 5
"""Of similarities: groups are the same where machines round the rest otherwise."""
CHUNK = 2048  # examples of a class that are compared with the others at once


def similar_groups(
    features: NDArray[np.floating], labels: NDArray[np.int64], among: Iterable[int], most: int
) -> tuple[tuple[int, ...], ...]:
    """Disjoint groups of two to `most` examples of one label, the most similar together.

    features: of k networks, [k, n_train, width]; labels: [n_train]; among: examples that are grouped.

    The similarity of two examples is the mean over networks of the cosine of their features, less the mean
    of their class. From the most similar pair on, the two groups that a pair links become one, unless that
    had more than `most` examples: single linkage, with a bound to the length of its chains.

    Nearly every example is put with some others, whether they teach networks about each other or not. That is
    for designs which keep the examples of a group apart, where it does no harm.
    """
    chosen = np.array(sorted(among), np.int64)
    pairs = []
    for label in np.unique(labels[chosen]):
        own = chosen[labels[chosen] == label]
        mean = features[:, labels == label].mean(1, dtype=np.float32, keepdims=True)
        pairs.append(_nearest(features[:, own].astype(np.float32) - mean, own))
    similarity, a, b = (np.concatenate(column) for column in zip(*pairs, strict=True))
    group = {int(i): [int(i)] for i in chosen}
    for k in np.lexsort((b, a, -similarity)):
        one, other = group[int(a[k])], group[int(b[k])]
        if one is not other and len(one) + len(other) <= most:
            one += other
            group.update(dict.fromkeys(other, one))
    found = {min(own): tuple(sorted(own)) for own in group.values() if len(own) > 1}
    return tuple(found[first] for first in sorted(found))


def _nearest(
    centred: NDArray[np.float32], own: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Each example of a class with its nearest: their similarity, and both, the smaller index first.

    centred: features of the examples `own`, less their class's mean, [k, len(own), width].
    """
    length = np.linalg.norm(centred, axis=2, keepdims=True)
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    joined = unit.transpose(1, 0, 2).reshape(len(own), -1) / np.sqrt(np.float32(len(unit)))
    count = min(NEAREST, len(own) - 1)
    found = []
    for first in range(0, len(own), CHUNK):
        similarity = joined[first : first + CHUNK] @ joined.T
        row = np.arange(len(similarity))
        similarity[row, first + row] = -np.inf
        column = np.argpartition(-similarity, max(count - 1, 0), axis=1)[:, :count]
        row = np.repeat(row, count)
        found.append((similarity[row, column.ravel()], own[first + row], own[column.ravel()]))
    values, a, b = (np.concatenate(column) for column in zip(*found, strict=True))
    return values.round(DIGITS), np.minimum(a, b), np.maximum(a, b)
