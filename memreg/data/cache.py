"""Decode once: a base set as memory-mapped .npy files beside its sources, opened in milliseconds.

In `DIR/memreg-cache/<name>-<key>/`, where the key stands for the state of all source files.
Written under another name, synced and renamed, by one process at a time, for which others wait.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from memreg.data.arrays import check_labels
from memreg.data.dataset import Dataset, digest_header
from memreg.data.sharing import HANDLE, About, check_digests, open_shared, write_handle
from memreg.data.source import Decoded, Source, Split
from memreg.errors import MemregError
from memreg.files import sync
from memreg.wording import counted

FORMAT = 3  # of the files below: raise it when they change
ATTEMPTS = 3  # to read files that change meanwhile
NAMED = 3  # files that are left out

log = logging.getLogger(__name__)


def cached(source: Source, verify: bool = False) -> Dataset:
    """The source's data set, from its cache; decoded into it when not there or no longer current.

    verify: also when its images are no longer those that were decoded. Reads them all: 1 GB takes a second.

    Where the sources' directory cannot be written to, the cache is the user's own: `memreg` in
    $XDG_CACHE_HOME or ~/.cache. Damaged sources raise `MemregError` and leave nothing behind.
    """
    dataset = _cached(source, verify)
    for notice in filter(None, (source.notice, _left_out(source, dataset))):
        log.warning("%s", notice)
    return replace(dataset, name=source.name)


def _left_out(source: Source, dataset: Dataset) -> str:
    """Which of the files are no images of the data set, in a line; "" for none."""
    if not source.size or dataset.files is None:
        return ""
    kept = {*dataset.files.tolist()}
    gone = [file for file in source.files if file not in kept]
    if not gone:
        return ""
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    count = f"{counted(len(gone), 'file')} {'is' if len(gone) == 1 else 'are'}"
    return (
        f"{source.name}: {count} left out, which cannot be read as RGB of 8 bits a channel: "
        f"{', '.join(gone[:NAMED])}{more}"
    )


def _cached(source: Source, verify: bool) -> Dataset:
    for _ in range(ATTEMPTS):
        with contextlib.suppress(_ChangedError):
            return _current(source, verify)
    raise MemregError(f"{source.name}: its files change while they are read: start again when they do not")


class _ChangedError(Exception):
    """Files are not as they were when they began to be read."""


def _current(source: Source, verify: bool) -> Dataset:
    folder = f"{_label(source)}-{_key(source)}"
    roots = [source.directory / "memreg-cache", _user_cache(source.directory)]
    for root in roots:
        if (dataset := _open(root / folder, verify)) is not None:
            return dataset
    for root in roots:
        try:
            return _decode_into(root, folder, source, verify)
        except OSError as error:
            log.info("no cache in %s: %s", root, error)
            reason = error
    raise MemregError(
        f"{source.name}: cannot write its cache to {roots[0]} or {roots[1]} ({reason.strerror}): "
        f"make room, or name a directory with XDG_CACHE_HOME"
    ) from reason


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Alone in this directory, which is made if need be, and removed again if then left empty.

    The kernel lets go of the lock when its holder dies.
    """
    while True:
        made = [path for path in (directory, *directory.parents) if not path.exists()]
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY)
        except FileNotFoundError:  # removed by another in between
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_open_as(descriptor, directory):
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    for path in made:
                        path.rmdir()
            return
        finally:
            os.close(descriptor)


def _is_open_as(descriptor: int, path: Path) -> bool:
    """False when the path has been removed, or made anew, since it was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _decode_into(root: Path, folder: str, source: Source, verify: bool) -> Dataset:
    """Raises `OSError` where root cannot be written to."""
    with locked(root):
        if (dataset := _open(root / folder, verify)) is not None:
            return dataset
        for path in root.iterdir():
            if re.fullmatch(re.escape(_label(source)) + r"-[0-9a-f]{16}(\.part)?", path.name):
                shutil.rmtree(path)
        log.info("decoding %s once, into %s", source.name, root / folder)
        part = root / f"{folder}.part"
        part.mkdir()
        try:
            _write(part, source)
            if not folder.endswith(_key(source)):
                raise _ChangedError
            part.rename(root / folder)
            sync(root)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return open_shared(root / folder / HANDLE)


def _write(directory: Path, source: Source) -> None:
    decoded = _decoded(source)
    paths, digests = {}, []
    for split_name, split in (("train", decoded.train), ("test", decoded.test)):
        paths[f"{split_name}_images"] = f"{split_name}_images.npy"
        paths[f"{split_name}_labels"] = f"{split_name}_labels.npy"
        np.save(directory / paths[f"{split_name}_labels"], split.labels, allow_pickle=False)
        digests.append(_write_images(directory / paths[f"{split_name}_images"], split, source))
    if decoded.files is not None:
        paths["files"] = "files.npy"
        np.save(directory / paths["files"], np.array(decoded.files), allow_pickle=False)
    about = About(source.name, decoded.classes, decoded.flip, (digests[0], digests[1]), decoded.class_labels)
    write_handle(directory, about, paths)
    for path in (*directory.iterdir(), directory):
        sync(path)


def _decoded(source: Source) -> Decoded:
    with _reading(source):
        decoded = source.decode()
    for name, split in (("training", decoded.train), ("test", decoded.test)):
        shape = (len(split.labels), *split.shape)
        check_labels(source.name, name, shape, split.labels, decoded.classes)
    if decoded.train.shape != decoded.test.shape:
        raise MemregError(
            f"{source.name}: training images have {decoded.train.shape} (height, width, channels) "
            f"and test images {decoded.test.shape}: they must have the same size"
        )
    return decoded


def _write_images(path: Path, split: Split, source: Source) -> str:
    """Write a split's images block by block. Returns their `array_digest`."""
    shape, rows = (len(split.labels), *split.shape), 0
    digest = hashlib.sha256(digest_header(np.dtype(np.uint8), shape))
    blocks = iter(split.images)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        while True:
            with _reading(source):
                block = next(blocks, None)
            if block is None:
                break
            data = np.ascontiguousarray(block).data
            file.write(data)
            digest.update(data)
            rows += len(block)
    if rows != shape[0]:
        raise MemregError(
            f"{source.name}: {rows} images but {shape[0]} labels for {path.stem}: each needs one"
        )
    return digest.hexdigest()


@contextlib.contextmanager
def _reading(source: Source) -> Iterator[None]:
    """An `OSError` in here is about the sources, not about the cache."""
    try:
        yield
    except OSError as error:
        raise MemregError(f"{source.name}: cannot read its files: {error}") from error


def _open(directory: Path, verify: bool) -> Dataset | None:
    """The data set cached here; None if there is none, or something has happened to it."""
    try:
        if not (directory / HANDLE).exists():
            return None
        dataset = open_shared(directory / HANDLE)
        if verify:
            check_digests(dataset)
        return dataset
    except (MemregError, PermissionError) as error:
        log.warning("cache not used: %s", error)
        return None


def _key(source: Source) -> str:
    """Stands for the content of all source files, by what the kernel says of each.

    The time of the last change of anything about a file (ctime) is no program's to set: new content of the
    same size, with the old time of modification put back, as rsync and archivers leave it, has another one.
    """
    digest = hashlib.sha256(f"{FORMAT}\n".encode())
    if source.size:
        digest.update(f"{source.size}\n".encode())
    if source.named:
        digest.update(b"named\n")
    with _reading(source):
        for file in source.files:
            s = os.stat(f"{source.directory}/{file}")  # noqa: PTH116  twice as fast, of every file
            state = f"{file} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}\n"
            digest.update(os.fsencode(state))
    return digest.hexdigest()[:16]


def _label(source: Source) -> str:
    """What the cache's folder begins with: the source's name without directories, and the images' size."""
    name = Path(source.name.partition(":")[2] or source.name).name
    size = f"-{source.size}px" if source.size else ""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) + size


def _user_cache(directory: Path) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:12]
    return Path(base) / "memreg" / place
