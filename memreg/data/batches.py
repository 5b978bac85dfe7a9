"""Training batches, whichever loader reads the images."""

import math
from collections.abc import Callable, Iterator
from operator import itemgetter

import torch
from torch import Tensor

from memreg.data import augmentation, memory
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.resources import LOADERS

CHUNK = 2**20  # bytes of images prepared at once: fewer, and calls cost more than work; more leave the cache

Read = Callable[[Dataset, Tensor, int, torch.device], Iterator[Tensor]]


def reader(loader: str) -> Read:
    """(data set, indices [n], at_once, device) -> uint8 [at_once, height, width, channels], fewer at the end.

    Raises `MemregError` for a name that is no loader's, and where FFCV is not installed.
    """
    match loader:
        case "memory":
            return memory.read
        case "ffcv":
            from memreg.data import ffcv_loader  # 2 to 11 s to import

            return ffcv_loader.read
    raise MemregError(f"unknown loader '{loader}': one of {', '.join(LOADERS)}")


def batches(
    dataset: Dataset,
    order: Tensor,
    draws: augmentation.Draws | None,
    device: torch.device,
    loader: str = "memory",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of each training batch, the same from every loader.

    order: indices of training examples, shape [steps, batch]. Yields float32 [batch, channels, height, width]
    and int64 [batch].
    """
    batch = order.shape[1]
    at_once = batch * max(1, CHUNK // (batch * math.prod(dataset.image_shape)))
    flat = order.reshape(-1)
    labels = memory.tensor(dataset.train_labels)[flat].to(device).split(at_once)
    draws = draws and draws.each(lambda drawn: drawn.to(device))
    first = 0
    for images, y in zip(reader(loader)(dataset, flat, at_once, device), labels, strict=True):
        x = images.to(device)
        if draws is not None:
            x = augmentation.apply(x, draws.each(itemgetter(slice(first, first + len(x)))))
        first += len(x)
        yield from zip(scale(x).split(batch), y.split(batch), strict=True)


def scale(images: Tensor) -> Tensor:
    """uint8 [B, height, width, channels] -> float32 [B, channels, height, width], channels last in memory.

    (x / 255 - 0.5) / 0.25 for every data set: constants, so that nothing of an excluded example reaches
    the network through a mean.
    """
    return images.permute(0, 3, 1, 2).float().mul_(1 / 63.75).sub_(2)
