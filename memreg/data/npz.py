"""A user's own arrays in one NumPy archive."""

from pathlib import Path

import numpy as np

from memreg.data.arrays import from_mapping
from memreg.data.source import Decoded, Source, expanded, whole
from memreg.errors import MemregError


def npz(path: Path) -> Source:
    """`npz:PATH`: train_images, train_labels, test_images, test_labels and, if wanted, flip."""
    name = f"npz:{path}"
    file = archive(path)

    def decode() -> Decoded:
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
        except PermissionError:
            raise
        except Exception as error:  # the parsers of ZIP, deflate and .npy raise of every kind
            raise MemregError(
                f"{name}: damaged, or not plain arrays as numpy.savez writes them: make it anew, "
                f"without Python objects"
            ) from error
        dataset = from_mapping(name, arrays)
        return Decoded(
            whole(dataset.train_images, dataset.train_labels),
            whole(dataset.test_images, dataset.test_labels),
            dataset.classes,
            dataset.flip,
            dataset.class_labels,
        )

    return Source(name, file.parent, [file.name], decode)


def archive(path: Path) -> Path:
    """The file. Raises `MemregError` where there is none."""
    file = expanded(path)
    if not file.is_file():
        raise MemregError(f"npz:{path}: there is no file {file.absolute()}")
    return file
