"""Prediction shards: one Arrow IPC file (Feather v2, zstd) with a row per member. Never a pickle."""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.files import write_atomically
from memreg.prediction import Prediction, Predictions
from memreg.registry.artifacts import Artifacts

SCHEMA = "1"
Shards = Iterable[dict[str, NDArray[Any]]]
COLUMNS = ("member", "seed", "included", "predicted", "p_label", "p_max")


def write_shard(path: Path, predictions: Sequence[Prediction], cell: str, dataset_fingerprint: str) -> None:
    """Write members, in order of their index, under `path`: complete there or not there at all.

    cell: the cell hash. Each column's CRC-32 goes into the schema metadata, since neither Arrow nor zstd
    frames as Arrow writes them would notice a flipped bit.
    """
    rows = sorted(predictions, key=lambda p: p.member)
    n_train, n = len(rows[0].included), len(rows[0].predicted)
    arrays: dict[str, NDArray[Any]] = {
        "member": np.array([p.member for p in rows], np.int32),
        "seed": np.array([p.seed for p in rows], np.int64),
        **{name: np.stack([getattr(p, name) for p in rows]) for name in COLUMNS[2:]},
    }
    metadata = {
        "memreg.schema": SCHEMA,
        "memreg.cell": cell,
        "memreg.dataset_fingerprint": dataset_fingerprint,
        "n_train": str(n_train),
        "n_test": str(n - n_train),
        "memreg.crc32": json.dumps({name: _crc(array) for name, array in arrays.items()}),
    }
    table = pa.table({name: _to_arrow(array) for name, array in arrays.items()})
    table = table.replace_schema_metadata(metadata)

    def write(temporary: Path) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with (
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema, options=options) as writer,
        ):
            writer.write_table(table)

    write_atomically(path, write)


def read_shard(
    path: Path,
    cell: str | None = None,
    dataset_fingerprint: str | None = None,
    columns: Sequence[str] = COLUMNS,
) -> dict[str, NDArray[Any]]:
    """Columns of a shard as arrays, [members] or [members, n_train or N].

    Refuses (MemregError) a file that is damaged, or that belongs to another cell or data set than named.
    """
    try:
        with pa.memory_map(str(path)) as source:
            schema = pa.ipc.open_file(source).schema
            metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
            if metadata.get("memreg.schema") != SCHEMA:
                raise MemregError(
                    f"{path}: not a prediction shard of schema {SCHEMA} but "
                    f"{metadata.get('memreg.schema', 'none')}"
                )
            _belongs(path, "cell", metadata["memreg.cell"], cell)
            _belongs(path, "data set", metadata["memreg.dataset_fingerprint"], dataset_fingerprint)
            options = pa.ipc.IpcReadOptions(
                included_fields=[schema.get_field_index(name) for name in columns]
            )
            table = pa.ipc.open_file(source, options=options).read_all()
            arrays = {name: _to_numpy(table.column(name).combine_chunks()) for name in columns}
        _check(arrays, metadata)
    except (OSError, pa.ArrowException, KeyError, ValueError, UnicodeDecodeError) as error:
        raise MemregError(
            f"{path}: damaged prediction shard ({_first_line(error)}): run the study again to train "
            "its members anew"
        ) from error
    return arrays


def read_shards(
    artifacts: Artifacts, cell: str, dataset_fingerprint: str, columns: Sequence[str] = COLUMNS
) -> Iterator[dict[str, NDArray[Any]]]:
    """All shards of a cell's run, one at a time."""
    names = artifacts.names("predictions", ".arrow")
    if not names:
        artifacts.check()
        raise MemregError(f"cell {cell[:12]} has no prediction shards yet")
    for name in names:
        path = artifacts.get(name)
        try:
            shard = read_shard(path, cell, dataset_fingerprint, columns)
        except MemregError:
            artifacts.forget(name)  # a study may mend it
            raise
        yield shard


def members_of(shard: dict[str, NDArray[Any]]) -> list[Prediction]:
    """Its members one by one, as `write_shard` takes them."""
    return [
        Prediction(
            int(shard["member"][i]),
            int(shard["seed"][i]),
            shard["included"][i],
            shard["predicted"][i],
            shard["p_label"][i],
            shard["p_max"][i],
            seconds=float("nan"),
        )
        for i in range(len(shard["member"]))
    ]


def stack(shards: Shards) -> Predictions:
    """Shards of one cell as one, in order of member index."""
    parts = list(shards)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    order = np.argsort(columns["member"], kind="stable")
    return Predictions(**{name: array[order] for name, array in columns.items()})


def _check(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    crc32 = json.loads(metadata["memreg.crc32"])
    n_train, n_test = int(metadata["n_train"]), int(metadata["n_test"])
    widths = {"member": (), "seed": (), "included": (n_train,)}
    for name, array in arrays.items():
        if array.shape[1:] != widths.get(name, (n_train + n_test,)):
            raise ValueError(f"column '{name}' has the wrong width")
        if _crc(array) != crc32[name]:
            raise ValueError(f"column '{name}' fails its checksum")


def _belongs(path: Path, what: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        raise MemregError(
            f"{path}: belongs to another {what} ({found[:12]}, not {expected[:12]}): "
            "put back the file that was here, or run the study again"
        )


def _to_arrow(array: NDArray[Any]) -> pa.Array:
    values = pa.array(array.reshape(-1))
    return values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, array.shape[1])


def _to_numpy(column: pa.Array) -> NDArray[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values, width = column.flatten(), column.type.list_size
    if pa.types.is_boolean(values.type):
        bits = np.frombuffer(values.buffers()[1], np.uint8)
        flat = np.unpackbits(bits, count=len(values), bitorder="little").view(np.bool_)
    else:
        flat = values.to_numpy()
    return flat.reshape(-1, width)


def _crc(array: NDArray[Any]) -> int:
    if array.dtype == np.bool_:
        array = np.packbits(array)
    return zlib.crc32(np.ascontiguousarray(array).data)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
