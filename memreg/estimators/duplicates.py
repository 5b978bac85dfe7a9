"""Test images that are in the training set but for details, as many of CIFAR's are (Barz & Denzler 2020)."""

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Mask

NEAR = 0.95
"""Correlation of two images' pixels from which they are near duplicates."""
ROWS = 1024


def has_near_duplicate(test: NDArray[np.uint8], train: NDArray[np.uint8], near: float = NEAR) -> Mask:
    """Whether the pixels of any training image correlate with a test image's by `near` or more.

    test, train: images [.., height, width, channels]; the result has shape [n_test].
    """
    known = _standardised(train)
    found = np.zeros(len(test), bool)
    for first in range(0, len(test), ROWS):
        rows = _standardised(test[first : first + ROWS])
        for second in range(0, len(train), 8 * ROWS):
            close = rows @ known[second : second + 8 * ROWS].T
            found[first : first + ROWS] |= close.max(1, initial=-1) >= near
    return found


def _standardised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    result: NDArray[np.float32] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return result
