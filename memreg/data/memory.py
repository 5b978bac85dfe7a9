"""The memory loader: index arrays that are in memory (or memory-mapped), a chunk of batches at a time."""

import functools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from memreg.data import augmentation
from memreg.data.dataset import Dataset

CHUNK = 2**20  # bytes of images prepared at once: fewer, and calls cost more than work; more leave the cache


def scale(images: Tensor) -> Tensor:
    """uint8 [B, height, width, channels] -> float32 [B, channels, height, width], channels last in memory.

    (x / 255 - 0.5) / 0.25 for every data set: constants, so that nothing of an excluded example reaches
    the network through a mean.
    """
    return images.permute(0, 3, 1, 2).float().mul_(1 / 63.75).sub_(2)


def tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor, without the warning for memory that is mapped read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def batches(
    dataset: Dataset, order: Tensor, draws: augmentation.Draws | None, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of each training batch.

    order: indices of training examples, shape [steps, batch]. Yields float32 [batch, channels, height, width]
    and int64 [batch].
    """
    steps, batch = order.shape
    per_chunk = max(1, CHUNK // (batch * math.prod(dataset.image_shape)))
    images, labels = _resident(dataset, device)
    order, draws = order.to(device), draws and draws.to(device)
    for first in range(0, steps, per_chunk):
        index = order[first : first + per_chunk].reshape(-1)
        chunk = images[index]
        if draws is not None:
            start = first * batch
            chunk = augmentation.apply(chunk, draws.slice(start, start + len(index)))
        yield from zip(scale(chunk).split(batch), labels[index].split(batch), strict=True)


@functools.lru_cache(maxsize=1)
def _resident(dataset: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Training images and labels on the device: copied there once for all members, not at all on a CPU."""
    return tensor(dataset.train_images).to(device), tensor(dataset.train_labels).to(device)
