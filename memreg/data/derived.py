"""Derived data sets: images of another size, some of the classes, some of the examples, wrong labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memreg import random
from memreg.data.dataset import Dataset
from memreg.data.labels import Label
from memreg.data.name import NoiseKind, Options, canonical
from memreg.data.pixels import resized
from memreg.data.planted import with_planted
from memreg.errors import MemregError

SUBSET, NOISY, NOISE = 1, 2, 3  # streams of one seed


def derive(base: Dataset, options: Options) -> Dataset:
    """The base set with options applied: size, then classes, subset, planted, noise.

    Noise comes last, so it falls on planted examples too.
    Raises `MemregError` for what does not fit this base.
    """
    if options != Options() and (base.clean_labels is not None or base.groups is not None):
        raise MemregError(
            f"{base.name} has clean_labels or groups of its own: no option can be applied to it"
        )
    dataset = base
    if options.size:
        dataset = with_size(dataset, options.size)
    if options.classes:
        dataset = with_classes(dataset, options.classes)
    if options.subset:
        dataset = with_subset(dataset, options.subset, options.seed)
    if options.planted:
        sizes = np.repeat(options.planted_sizes, options.planted)
        dataset = with_planted(dataset, sizes.tolist(), options.seed)
    if options.noise:
        dataset = with_noise(dataset, options.noise, options.noise_kind, options.seed)
    return replace(dataset, name=canonical(base.name, options))


def with_size(dataset: Dataset, side: int) -> Dataset:
    """Every image stretched to this height and width; the same data set where they have it."""
    if dataset.image_shape[1:] == (side, side):
        return dataset

    def all_resized(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        changed = np.empty((len(images), side, side, images.shape[3]), np.uint8)
        for number, image in enumerate(images):
            changed[number] = resized(image, side)
        return changed

    return replace(
        dataset,
        train_images=all_resized(dataset.train_images),
        test_images=all_resized(dataset.test_images),
        known_digests=(None, None),
    )


def with_classes(dataset: Dataset, classes: Sequence[int]) -> Dataset:
    """Only these classes, by the data's own labels where these are numbers, training and test, relabelled 0,
    1, ... in the order given. Raises `MemregError` for one that is not there, or has no training example."""
    known: Sequence[Label] = dataset.class_labels or range(dataset.classes)
    if any(isinstance(label, str) for label in known):
        known = range(dataset.classes)
    for label in classes:
        if label not in known:
            raise MemregError(f"{dataset.name} has no class {label}: choose from {_listed(known)}")
    chosen = [known.index(label) for label in classes]
    relabelled = np.full(dataset.classes, -1, np.int64)
    relabelled[chosen] = np.arange(len(chosen))
    train, test = relabelled[dataset.train_labels], relabelled[dataset.test_labels]
    if empty := sorted({*range(len(chosen))} - {*train.tolist()}):
        raise MemregError(
            f"{dataset.name} has no training example of class {classes[empty[0]]}: leave it out"
        )
    if (test < 0).all():
        raise MemregError(f"{dataset.name} has no test example of these classes: choose others")
    return replace(
        dataset.only(np.flatnonzero(train >= 0), np.flatnonzero(test >= 0)),
        train_labels=train[train >= 0],
        test_labels=test[test >= 0],
        classes=len(classes),
        class_labels=None if dataset.class_labels is None else tuple(dataset.class_labels[i] for i in chosen),
    )


def _listed(labels: Sequence[Label]) -> str:
    """Few of them one by one, a range by its ends."""
    if labels == range(len(labels)):
        return f"0 to {len(labels) - 1}"
    more = f", ... ({len(labels)} in all)" if len(labels) > 10 else ""
    return ", ".join(map(str, labels[:10])) + more


def with_subset(dataset: Dataset, n: int, seed: int) -> Dataset:
    """A stratified subset of n training examples, in their order; smaller lie within larger."""
    fewest = len(np.unique(dataset.train_labels))
    if not fewest <= n <= dataset.n_train:
        raise MemregError(
            f"subset={n} does not fit {dataset.name}: choose from {fewest}, the number of "
            f"classes, to {dataset.n_train}, the number of training examples"
        )
    return dataset.only(stratified(dataset.train_labels, n, seed, SUBSET))


def stratified(labels: NDArray[np.int64], n: int, *keys: int) -> NDArray[np.int64]:
    """Ascending indices, shape [n], of a random choice with every class in proportion, within one.

    An example's place in its class, (rank + 1/2) / class size for a random rank, decides; the n
    lowest are chosen, so a choice of fewer lies within a choice of more.
    """
    shuffled = random.order(len(labels), *keys)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(shuffled[np.argsort(place[shuffled], kind="stable")[:n]])


def with_noise(dataset: Dataset, fraction: float, kind: NoiseKind, seed: int) -> Dataset:
    """Exactly round(fraction * n_train) training labels changed to another class, images shared.

    Classes are those that have training examples. Symmetric noise uses every other one equally often, within
    one; pairwise noise is c -> the next (after the last the first). With the same seed, the labels changed by
    less noise are changed alike by more.
    """
    n = dataset.n_train
    present, place = np.unique(dataset.train_labels, return_inverse=True)
    if len(present) < 2:
        raise MemregError(f"noise needs two classes with training examples, and {dataset.name} has one")
    noisy = random.order(n, seed, NOISY)[: round(fraction * n)]
    shift = np.ones(n, np.int64)
    if kind == "symmetric":
        shift += random.order(n, seed, NOISE) % (len(present) - 1)
    labels = np.array(dataset.train_labels)
    labels[noisy] = present[(place[noisy] + shift[noisy]) % len(present)]
    return replace(dataset, train_labels=labels, clean_labels=np.array(dataset.train_labels))
