"""scikit-learn's digits: 1,797 real 8x8 scans, embedded in the package, so always at hand."""

import numpy as np

from memreg.data.dataset import Dataset
from memreg.data.derived import stratified

SPLIT = 1797  # the one key of the split: never change it, every stored prediction depends on it


def digits() -> Dataset:
    """1,297 training and 500 test images, [n, 8, 8, 1], stratified by class; 0..16 becomes 0..255.

    Source: UCI Optical Recognition of Handwritten Digits, test part, as scikit-learn ships it.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = np.rint(scans.images[..., None] * (255 / 16)).astype(np.uint8)
    labels = scans.target.astype(np.int64)
    test = np.zeros(len(labels), bool)
    test[stratified(labels, 500, SPLIT)] = True
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=10,
        flip=False,
    )
