"""The FFCV loader: a thread of FFCV's reads images from a .beton ahead of the training that consumes them.

Order and augmentation are ours, so that networks are those of the memory loader to the bit: FFCV's own are
not reproducible. It only reads.
"""

import contextlib
import functools
import queue
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memreg.data.beton import beton
from memreg.data.dataset import Dataset
from memreg.data.with_ffcv import EpochIterator, Loader, NDArrayDecoder, ToTensor
from memreg.errors import MemregError


def read(dataset: Dataset, order: Tensor, at_once: int, device: torch.device) -> Iterator[Tensor]:
    """Training images at the indices `order`, shape [n], as uint8 [at_once, height, width, channels].

    Fewer at the end. What is yielded is FFCV's own buffer in memory, whatever the device, and good until the
    next one is asked for. Raises `MemregError` where reading fails.
    """
    threads = torch.get_num_threads()
    try:
        reader = _Reader(_loader(beton(dataset)), order.numpy().astype(np.uint64), at_once)
    finally:
        torch.set_num_threads(threads)
    try:
        for _ in range(0, len(order), at_once):
            yield reader.take()
    finally:
        reader.close()


class _Reader(EpochIterator):
    """A pass over given examples whose consumer learns of a failure: FFCV's would wait for ever."""

    error: Exception | None = None

    def __init__(self, loader: Loader, order: np.ndarray, at_once: int) -> None:
        loader.batch_size = at_once
        super().__init__(loader, order)

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            self.error = error
            self.output_queue.put(None)

    def take(self) -> Tensor:
        item = self.output_queue.get()
        if item is None:
            raise MemregError(f"FFCV cannot read {self.loader.fname}: {self.error!r}: delete that file")
        images: Tensor = item[1][0]
        return images

    def close(self) -> None:
        super().close()
        with contextlib.suppress(queue.Empty):  # a thread at its last word is let go
            self.output_queue.get_nowait()


@functools.cache
def _loader(path: Path) -> Loader:
    """One for each file in a process: every new one is compiled for seconds."""
    return Loader(
        str(path),
        batch_size=1,
        num_workers=1,
        os_cache=True,
        drop_last=False,
        pipelines={"image": [NDArrayDecoder(), ToTensor()]},
    )
