"""What every data set keeps to."""

import numpy as np

from memreg.data import Dataset, load


class DatasetSuite:
    """Set `name`, as `dataset=` has it, or say in `load` how it is made."""

    name: str

    def load(self) -> Dataset:
        """The data set, made anew."""
        return load(self.name)

    def test_images_are_bytes_of_one_shape(self) -> None:
        dataset = self.load()
        for images, labels in (
            (dataset.train_images, dataset.train_labels),
            (dataset.test_images, dataset.test_labels),
        ):
            assert images.dtype == np.uint8
            assert images.ndim == 4
            assert len(images) == len(labels) > 0
            channels, height, width = dataset.image_shape
            assert images.shape[1:] == (height, width, channels)

    def test_labels_are_classes_that_training_has(self) -> None:
        dataset = self.load()
        for labels in (dataset.train_labels, dataset.test_labels):
            assert labels.dtype == np.int64
            assert labels.min() >= 0
            assert labels.max() < dataset.classes

    def test_it_is_the_same_whenever_it_is_loaded(self) -> None:
        first, again = self.load(), self.load()
        assert first.fingerprint == again.fingerprint
        assert len(first.fingerprint) == 64
        assert np.array_equal(first.train_images, again.train_images)

    def test_its_examples_are_listed_training_first(self) -> None:
        dataset = self.load()
        table = dataset.examples()
        assert list(table["split"]) == ["train"] * dataset.n_train + ["test"] * dataset.n_test
        assert np.array_equal(table["label"], np.concatenate([dataset.train_labels, dataset.test_labels]))
