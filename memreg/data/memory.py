"""The memory loader: index arrays that are in memory, or memory-mapped.

On a GPU the images of one data set lie there, copied once for all members. Those of one that is too large for
it stay on the host, and each batch is copied from pinned memory while the GPU computes.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from memreg.data.dataset import Dataset

SHARE = 0.25
"""Of a GPU's free memory that a data set may take: the rest is for networks, and for other processes."""


def read(dataset: Dataset, order: Tensor, at_once: int, device: torch.device) -> Iterator[Tensor]:
    """Training images at the indices `order`, shape [n], as uint8 [at_once, height, width, channels] on the
    device; fewer at the end."""
    images = train_images(dataset, device)
    if images.device.type == device.type:
        for index in order.to(device).split(at_once):
            yield images[index]
    else:
        for index in order.split(at_once):
            yield _sent(images, index, device)


def train_images(dataset: Dataset, device: torch.device) -> Tensor:
    """A data set's training images: on the device, copied there once for all members and not at all on a CPU;
    on the host where they are too large for it. Another data set's are let go."""
    global _held
    if _held is None or _held.dataset is not dataset or _held.device != device:
        _held = None  # first, so that there never are two on the device
        _held = _Held(dataset, device, _placed(tensor(dataset.train_images), device))
    return _held.images


def resident(size: int, free: int) -> bool:
    """Whether so many bytes of images lie on a GPU that has so many free."""
    return size <= SHARE * free


def fits(dataset: Dataset, device: torch.device) -> bool:
    """Whether a data set's training images lie on this GPU where nothing else uses it."""
    _, total = torch.cuda.mem_get_info(device)
    return resident(dataset.train_images.nbytes, total)


def tensor(array: NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor, without the warning for memory that is mapped read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


@dataclass(frozen=True)
class _Held:
    dataset: Dataset
    device: torch.device
    images: Tensor


_held: _Held | None = None
"""What the last member was trained on."""


def _placed(images: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what another data set's images took is free again, and counted so
        free, _ = torch.cuda.mem_get_info(device)
        if not resident(images.nbytes, free):
            return images
    return images.to(device)


def _sent(images: Tensor, index: Tensor, device: torch.device) -> Tensor:
    """These images, by way of pinned memory, which torch gives to nothing else before they have arrived."""
    pinned = torch.empty((len(index), *images.shape[1:]), dtype=images.dtype, pin_memory=True)
    torch.index_select(images, 0, index, out=pinned)
    return pinned.to(device, non_blocking=True)
