"""One cell as a file for others."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.exchange.outside import DIVERGED, WRONG
from memreg.files import write_atomically
from memreg.members import Members
from memreg.registry import StoredCell

LABELS = ("train_labels", "test_labels")
CHUNK = 100  # members of a Zarr array


def writer_of(path: Path) -> Callable[[StoredCell], None]:
    """What writes a cell to `path`: .npz as `layouts.feldman_zhang` reads it, .parquet as `layouts.table`
    does, or .zarr, a group of the arrays of the .npz in chunks of members.

    Raises `MemregError` for another suffix, and the writer where zarr is not installed.
    """
    writers = {".npz": _npz, ".parquet": _parquet, ".zarr": _zarr}
    if path.suffix not in writers:
        raise MemregError(f"{path}: a cell becomes .npz, .parquet or .zarr, a study .zip")
    return lambda cell: write_atomically(path, partial(writers[path.suffix], cell))


def _npz(cell: StoredCell, path: Path) -> None:
    arrays: dict[str, Any] = _arrays(cell.members(), cell)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _zarr(cell: StoredCell, path: Path) -> None:
    try:
        import zarr
    except ImportError as error:
        raise MemregError(f"{path}: needs zarr ({error}): pip install -e '.[zarr]'") from error
    group = zarr.open_group(path, mode="w-")
    written: dict[str, zarr.Array[Any]] = {}
    for shard in cell.shards():
        for name, array in _arrays(shard, cell).items():
            by_member = name not in LABELS
            if name not in written:
                axes = ("member", "example")[: array.ndim] if by_member else ("example",)
                chunks = (CHUNK, *array.shape[1:]) if by_member else array.shape
                written[name] = group.create_array(name, data=array, chunks=chunks, dimension_names=axes)
            elif by_member:
                written[name].append(array)


def _arrays(members: Members, cell: StoredCell) -> dict[str, NDArray[Any]]:
    """Name the arrays as `layouts.feldman_zhang` does, and add `member` [k]."""
    correct, n = members.correct(cell.labels), members.n_train
    labels = dict(zip(LABELS, (cell.labels[:n], cell.labels[n:]), strict=True)) if cell.labels_known else {}
    return {
        "member": members.member,
        "trainset_mask": members.included,
        "trainset_correctness": correct[:, :n],
        "testset_correctness": correct[:, n:],
        **labels,
        "predicted": _classes(members.predicted),
        "p_label": members.p_label,
        "margin": _margin(members),
        "p_max": members.p_max,
    }


def _parquet(cell: StoredCell, path: Path) -> None:
    tables = _tables(cell)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _tables(cell: StoredCell) -> Iterator[pa.Table]:
    """A table for each shard, a row for each of its members and each example."""
    examples = cell.examples
    for shard in cell.shards():
        k, n = shard.predicted.shape
        included = np.zeros((k, n), bool)
        included[:, : shard.n_train] = shard.included
        labels = {"label": np.tile(cell.labels, k)} if cell.labels_known else {}
        yield pa.table(
            {
                "member": np.repeat(shard.member, n),
                "split": pa.array(np.tile(examples["split"].to_numpy(str), k)).dictionary_encode(),
                "example": np.tile(examples["example"].to_numpy(), k),
                "included": included.reshape(-1),
                **labels,
                "predicted": _classes(shard.predicted).reshape(-1),
                "correct": shard.correct(cell.labels).reshape(-1),
                "p_label": shard.p_label.astype(np.float32).reshape(-1),
                "margin": _margin(shard).astype(np.float32).reshape(-1),
                "p_max": shard.p_max.astype(np.float32).reshape(-1),
            }
        )


def _margin(members: Members) -> NDArray[np.float16]:
    """NaN for members that have probabilities alone."""
    return np.where(members.exact[:, None], members.margin, np.nan).astype(np.float16)


def _classes(predicted: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int32]:
    """Put what is no class below 0."""
    top = np.iinfo(predicted.dtype).max
    classes = predicted.astype(np.int32)
    classes[predicted == top] = DIVERGED
    classes[predicted == top - 1] = WRONG
    return classes
