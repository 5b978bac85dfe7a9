"""FFCV's file of a data set's training images, written once from the same arrays."""

import functools
import logging
import tempfile
from pathlib import Path

import numpy as np

from memreg.data.cache import locked
from memreg.data.dataset import Dataset
from memreg.data.sharing import mapped_file
from memreg.data.with_ffcv import DatasetWriter, MemoryAllocator, NDArrayField, Reader, handle_sample
from memreg.errors import MemregError
from memreg.files import sync

PAGE = 2**23  # bytes, FFCV's default
log = logging.getLogger(__name__)


def beton(dataset: Dataset) -> Path:
    """The .beton with the training images in their order, uncompressed, in a field `image`.

    Beside the .npy file that the images are mapped from, or in a directory that goes when this process
    ends. Written, by one process at a time, where it is not there or not whole. Raises `MemregError`
    where it cannot be written.
    """
    source, name = mapped_file(dataset.train_images), f"{dataset.digests[0][:16]}.beton"
    path = source.with_name(f"{source.stem}-{name}") if source else _temporary() / name
    try:
        with locked(path.parent):
            if not _is_whole(path, dataset):
                part = path.with_suffix(".beton.part")
                try:
                    _write(part, dataset)
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
    except OSError as error:
        raise MemregError(
            f"{dataset.name}: cannot write {path} ({error.strerror}): make room, or use loader=memory"
        ) from error
    return path


def _write(path: Path, dataset: Dataset) -> None:
    """Write as FFCV's writer does, but in this process: that one waits for ever for a worker that failed."""
    images = dataset.train_images
    size = int(np.prod(images.shape[1:]))
    page = max(PAGE, 2 ** (size - 1).bit_length())
    fields = {"image": NDArrayField(np.dtype(np.uint8), images.shape[1:])}
    writer = DatasetWriter(str(path), fields, page_size=page, num_workers=1)
    writer.num_samples = len(images)
    writer.prepare()
    try:
        metadata = np.zeros(len(images), writer.metadata_type)
        names = metadata.dtype.names
        allocator = MemoryAllocator(str(path), writer.data_region_start, page)
        with allocator:
            for i, image in enumerate(images):
                handle_sample((np.ascontiguousarray(image),), i, names, metadata, allocator, fields)
        writer.metadata_sm.buf[: metadata.nbytes] = metadata.tobytes()
        writer.finalize(allocator.allocations)
    finally:
        writer.metadata_sm.close()
        writer.metadata_sm.unlink()
    sync(path)


def _is_whole(path: Path, dataset: Dataset) -> bool:
    if not path.exists():
        return False
    try:
        reader = Reader(str(path))
        end = int(reader.header["alloc_table_ptr"]) + reader.alloc_table.nbytes
        shape = reader.handlers["image"].shape
    except Exception as error:  # whatever bytes of a file may do to its reader
        log.warning("%s is damaged (%s) and written again", path, error)
        return False
    found = (int(reader.num_samples), len(reader.alloc_table), tuple(map(int, shape)), end)
    n = dataset.n_train
    return found == (n, n, dataset.train_images.shape[1:], path.stat().st_size)


@functools.cache
def _directory() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="memreg-beton-")


def _temporary() -> Path:
    return Path(_directory().name)
