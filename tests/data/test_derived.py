"""Digits, and the sets derived from them: label noise, subsets, classes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from memreg.data import Dataset, load
from memreg.data.dataset import array_digest
from memreg.data.derived import stratified
from memreg.errors import MemregError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_digits_are_split_once_and_for_all(digits: Dataset) -> None:
    assert digits.train_images.shape == (1297, 8, 8, 1)
    assert digits.test_images.shape == (500, 8, 8, 1)
    assert digits.image_shape == (1, 8, 8)
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)
    assert not digits.flip
    every = np.bincount(np.concatenate([digits.train_labels, digits.test_labels]))
    assert np.abs(np.bincount(digits.test_labels) - every * 500 / 1797).max() < 1
    assert digits.fingerprint == FINGERPRINT


# Stored predictions depend on it: another split is another data set.
FINGERPRINT = "85f6386c7aff07748034c0f31be0dcbb93fbe3923ee437dbe3f304728584f0c1"


def test_the_fingerprint_follows_contents_alone(digits: Dataset) -> None:
    same = replace(digits, name="other", train_images=np.asfortranarray(digits.train_images))
    assert same.fingerprint == digits.fingerprint
    for changed in (
        replace(digits, flip=True),
        replace(digits, classes=11),
        replace(digits, train_images=digits.train_images[::-1]),
        replace(digits, test_labels=digits.test_labels[::-1]),
        replace(digits, train_images=digits.train_images.reshape(1297, 4, 16, 1)),
    ):
        assert changed.fingerprint != digits.fingerprint
    stored = replace(digits, known_digests=digits.digests)
    assert stored.fingerprint == digits.fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "digits+noise=0.2",
        "digits+subset=300",
        "digits+classes=7.2",
        "digits+planted=1",
        "digits+classes=7.2+subset=200+planted=1+noise=0.1",
    ],
)
def test_digests_carried_along_are_those_of_the_contents(name: str) -> None:
    derived = load(name)
    assert derived.digests == (
        array_digest(derived.train_images),
        array_digest(derived.test_images),
    )


@pytest.mark.parametrize("name", ["digits+noise=0.2", "digits+subset=300", "digits+planted=1"])
def test_the_seed_chooses_and_nothing_else_does(name: str) -> None:
    assert load(name).fingerprint == load(f"{name}+seed=0").fingerprint
    assert load(name).fingerprint != load(f"{name}+seed=1").fingerprint
    assert load(f"{name}+seed=1").name == f"{name}+seed=1"


@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.5, 1.0])
def test_symmetric_noise_changes_exactly_its_share(digits: Dataset, fraction: float) -> None:
    noisy = load(f"digits+noise={fraction}")
    assert noisy.clean_labels is not None
    assert np.array_equal(noisy.clean_labels, digits.train_labels)
    assert np.array_equal(noisy.train_images, digits.train_images)
    assert np.array_equal(noisy.test_labels, digits.test_labels)
    wrong = noisy.train_labels != noisy.clean_labels
    assert wrong.sum() == round(fraction * 1297)
    assert set(noisy.train_labels) <= set(range(10))


def test_symmetric_noise_uses_every_other_class(digits: Dataset) -> None:
    noisy = load("digits+noise=1")
    shift = (noisy.train_labels - digits.train_labels) % 10
    counts = np.bincount(shift, minlength=10)
    assert counts[0] == 0
    assert counts[1:].max() - counts[1:].min() <= 1


def test_more_noise_keeps_what_less_noise_changed() -> None:
    little, much = load("digits+noise=0.1"), load("digits+noise=0.3")
    changed = little.train_labels != little.clean_labels
    assert np.array_equal(little.train_labels[changed], much.train_labels[changed])


def test_pairwise_noise_is_the_next_class(digits: Dataset) -> None:
    noisy = load("digits+noise=0.25+noise_kind=pairwise")
    wrong = noisy.train_labels != digits.train_labels
    assert wrong.sum() == round(0.25 * 1297)
    assert np.array_equal(noisy.train_labels[wrong], (digits.train_labels[wrong] + 1) % 10)


@pytest.mark.parametrize("n", [10, 300, 1296, 1297])
def test_a_subset_is_stratified_and_in_order(digits: Dataset, n: int) -> None:
    subset = load(f"digits+subset={n}")
    assert subset.n_train == n
    share = np.bincount(digits.train_labels) * n / 1297
    assert np.abs(np.bincount(subset.train_labels, minlength=10) - share).max() <= 1
    assert np.array_equal(subset.test_images, digits.test_images)
    rows = [np.flatnonzero((digits.train_images == i).all((1, 2, 3)))[0] for i in subset.train_images]
    assert np.all(np.diff(rows) > 0)


def test_a_smaller_subset_lies_within_a_larger() -> None:
    labels = np.repeat([0, 1, 2], [50, 7, 13])
    chosen = [set(stratified(labels, n, 5).tolist()) for n in range(71)]
    assert all(small < large for small, large in itertools.pairwise(chosen))


def test_classes_are_kept_in_the_order_given(digits: Dataset) -> None:
    kept = load("digits+classes=7.0.2")
    assert kept.classes == 3
    for new, old in enumerate((7, 0, 2)):
        assert np.array_equal(
            kept.train_images[kept.train_labels == new],
            digits.train_images[digits.train_labels == old],
        )
        assert np.array_equal(
            kept.test_images[kept.test_labels == new],
            digits.test_images[digits.test_labels == old],
        )


def test_options_apply_in_a_fixed_order() -> None:
    whole = load("digits+noise=0.1+planted=1+subset=100+classes=1.2.3")
    assert whole.name == "digits+classes=1.2.3+subset=100+planted=1+noise=0.1"
    assert whole.n_train == 100 + 34
    assert whole.clean_labels is not None
    assert (whole.clean_labels != whole.train_labels).sum() == 13


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits+classes=3.10", "digits has no class 10: choose from 0 to 9"),
        ("digits+subset=9", "subset=9 does not fit digits: choose from 10"),
        ("digits+subset=1298", "to 1297, the number of training examples"),
        ("digits+subset=20+planted=1", "images of class"),
        ("digits+sise=3", "data set digits+sise=3: no option sise=3: there are size, classes"),
        ("digits+noise=0.1+sise=3", "data set digits+noise=0.1+sise=3: no option sise=3:"),
        ("digitz", "unknown data set 'digitz': did you mean digits? choose digits, cifar10"),
        ("", "unknown data set ''"),
        ("folder:", "unknown data set 'folder:'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name: str, said: str) -> None:
    with pytest.raises(MemregError) as error:
        load(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
