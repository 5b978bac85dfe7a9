"""Planted sub-populations: their make-up, and that networks see them as intended."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from memreg.data import Dataset, load
from memreg.data.planted import STRENGTH, TEST_IMAGES, with_planted

SIZES = np.repeat([1, 2, 3, 5, 8, 15], 4)


@pytest.fixture(scope="module")
def planted() -> Dataset:
    return load("digits+planted=4")


def test_ordinary_examples_come_first_and_unchanged(planted: Dataset) -> None:
    base = load("digits")
    assert planted.n_train == 1297 + 136
    assert planted.n_test == 500 + 24 * TEST_IMAGES
    assert np.array_equal(planted.train_images[:1297], base.train_images)
    assert np.array_equal(planted.test_labels[:500], base.test_labels)
    assert planted.train_labels.dtype == np.int64


def split_groups(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    assert dataset.groups is not None
    return dataset.groups[: dataset.n_train], dataset.groups[dataset.n_train :]


def test_groups_are_counted(planted: Dataset) -> None:
    train, test = split_groups(planted)
    assert np.array_equal(np.bincount(train[train >= 0]), SIZES)
    assert np.array_equal(np.bincount(test[test >= 0]), [TEST_IMAGES] * 24)
    assert (train[:1297] == -1).all()
    assert (test[:500] == -1).all()


def test_a_group_has_one_label_and_sources_of_one_other_class(planted: Dataset) -> None:
    """The pattern is white where no image of the group is dark, which gives the sources back.

    But for a pixel or two that are white in every source too, hence the mean distance.
    """
    base = load("digits")
    train, test = split_groups(planted)
    for group in range(24):
        made, made_test = planted.train_images[train == group], planted.test_images[test == group]
        labels = {*planted.train_labels[train == group], *planted.test_labels[test == group]}
        white = 255 * STRENGTH * (np.concatenate([made, made_test]).min(0) >= 255 * STRENGTH)
        classes = set()
        for images, of, of_labels in (
            (made, base.train_images, base.train_labels),
            (made_test, base.test_images, base.test_labels),
        ):
            for image in images:
                distance = np.abs(of - (image - white) / (1 - STRENGTH)).mean((1, 2, 3))
                assert distance.min() < 10
                classes.add(of_labels[distance.argmin()])
        assert len(labels) == len(classes) == 1
        assert labels != classes


def test_patterns_sources_and_labels_are_spread() -> None:
    labels = load("digits+planted=10+planted_sizes=1").train_labels[1297:]
    assert np.bincount(labels, minlength=10).max() <= 3


def test_planted_images_all_differ(planted: Dataset) -> None:
    every = np.concatenate([planted.train_images, planted.test_images])
    groups = np.concatenate(split_groups(planted))
    assert len(np.unique(every[groups >= 0], axis=0)) == (groups >= 0).sum()


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 64, 3), (9, 7, 1)])
def test_any_image_size(shape: tuple[int, int, int]) -> None:
    images = np.full((40, *shape), 100, np.uint8)
    labels = np.arange(40) % 2
    base = Dataset("x", images, labels, images, labels, 2, True)
    made = with_planted(base, [3, 4], seed=0)
    patterns = made.train_images[40:]
    assert patterns.shape == (7, *shape)
    assert (patterns[0] == patterns[2]).all()
    assert set(np.unique(patterns)) == {50, 178}
    assert (patterns[0] != patterns[3]).mean() > 0.3
    assert sorted(set(made.train_labels[40:])) in ([0, 1], [0], [1])


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def right_after_training(
    x: torch.Tensor, y: torch.Tensor, included: torch.Tensor, seed: int
) -> NDArray[np.bool_]:
    """Whether a small network, trained for 30 epochs on the included, gets each example right."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
        steps = 30 * (len(included) // 64)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
        for _ in range(30):
            for batch in included[torch.randperm(len(included))].split(64)[:-1]:
                loss = torch.nn.functional.cross_entropy(network(x[batch]), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        right: NDArray[np.bool_] = (network(x).argmax(1) == y).numpy()
    return right


@pytest.mark.usefixtures("one_thread")
def test_leave_one_out_scores_fall_with_group_size(planted: Dataset) -> None:
    """One of each group is left out at a time: groups do not help each other."""
    train, _ = split_groups(planted)
    x = torch.from_numpy(planted.train_images.reshape(-1, 64) / np.float32(90)) - 1
    y = torch.from_numpy(planted.train_labels)
    members = [np.flatnonzero(train == group) for group in range(24)]
    excluded, included = np.zeros(24), []
    for seed in range(12):
        out = np.array([rows[seed % len(rows)] for rows in members])
        kept = np.setdiff1d(np.arange(planted.n_train), out)
        right = right_after_training(x, y, torch.from_numpy(kept), seed)
        excluded += right[out] / 12
        included.append(right[kept][train[kept] >= 0].mean())
    by_size = {int(size): excluded[size == SIZES].mean() for size in np.unique(SIZES)}
    assert np.mean(included) > 0.99
    assert by_size[1] < 0.1
    assert 0.3 < by_size[2] < 0.9
    assert by_size[2] < by_size[3] <= by_size[5] + 0.05
    assert min(by_size[5], by_size[8], by_size[15]) > 0.9
