"""The memory loader: index arrays that are in memory, or memory-mapped."""

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from memreg.data.dataset import Dataset


def read(dataset: Dataset, order: Tensor, at_once: int, device: torch.device) -> Iterator[Tensor]:
    """Training images at the indices `order`, shape [n], as uint8 [at_once, height, width, channels] on the
    device; fewer at the end."""
    images = _resident(dataset, device)
    for index in order.to(device).split(at_once):
        yield images[index]


def tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor, without the warning for memory that is mapped read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


@functools.lru_cache(maxsize=1)
def _resident(dataset: Dataset, device: torch.device) -> Tensor:
    """Training images on the device: copied there once for all members, and not at all on a CPU."""
    return tensor(dataset.train_images).to(device)
