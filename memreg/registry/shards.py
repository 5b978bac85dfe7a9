"""Prediction shards: one Arrow IPC file (Feather v2, zstd) with a row per member. Never a pickle."""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memreg import margins
from memreg.errors import MemregError
from memreg.files import write_atomically
from memreg.members import COLUMNS, SURE, Members
from memreg.registry.artifacts import Artifacts

SCHEMA = "2"
"""With `margin`, and `p_other`: the probability of the predicted class where that is not the label's own,
else 0. Schema 1, written where there are no margins, has `p_label` and `p_max`."""
KEPT = ("member", "seed", "included", "predicted", "p_max")


def write_shard(path: Path, members: Members, cell: str, dataset_fingerprint: str) -> None:
    """Write members under `path`: complete there or not there at all.

    cell: the cell hash. Each column's CRC-32 goes into the schema metadata, since neither Arrow nor zstd
    frames as Arrow writes them would notice a flipped bit.
    """
    arrays = {name: members.columns[name] for name in (*KEPT, *SURE) if name in members.columns}
    arrays |= {"member": members.member.astype(np.int32), "seed": members.seed.astype(np.int64)}
    if "margin" in arrays:
        p_max, own = arrays.pop("p_max"), margins.probability(arrays["margin"])
        arrays["p_other"] = np.where(p_max == own, np.float16(0), p_max)
    n_train, n = members.n_train, members.predicted.shape[1]
    metadata = {
        "memreg.schema": SCHEMA if "margin" in arrays else "1",
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
) -> Members:
    """A shard's members, with these columns: of SURE all that it has, if one is asked for.

    Refuses (MemregError) a file that is damaged, or that belongs to another cell or data set than named.
    """
    if unknown := set(columns) - {*KEPT, *SURE}:
        raise MemregError(f"members have no column {min(unknown)}: there are {', '.join((*KEPT, *SURE))}")
    try:
        with pa.memory_map(str(path)) as source:
            schema = pa.ipc.open_file(source).schema
            metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
            if metadata.get("memreg.schema") not in ("1", SCHEMA):
                raise MemregError(
                    f"{path}: not a prediction shard of schema 1 or {SCHEMA} but "
                    f"{metadata.get('memreg.schema', 'none')}"
                )
            sure = [name for name in SURE if name in schema.names]
            wanted = [name for name in columns if name not in SURE]
            asked = sure if len(wanted) < len(columns) else []
            names = dict.fromkeys([*wanted, *asked])
            if derived := "p_max" in names and "margin" in sure:
                del names["p_max"]
                names |= {"p_other": None, "margin": None}
            _belongs(path, "cell", metadata["memreg.cell"], cell)
            _belongs(path, "data set", metadata["memreg.dataset_fingerprint"], dataset_fingerprint)
            options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in names])
            table = pa.ipc.open_file(source, options=options).read_all()
            arrays = {name: _to_numpy(table.column(name).combine_chunks()) for name in names}
        _check(arrays, metadata)
        if derived:
            other = arrays.pop("p_other")
            arrays["p_max"] = np.where(other == 0, margins.probability(arrays["margin"]), other)
        arrays = {name: arrays[name] for name in (*wanted, *asked)}
    except (OSError, pa.ArrowException, KeyError, ValueError, UnicodeDecodeError) as error:
        raise MemregError(
            f"{path}: damaged prediction shard ({_first_line(error)}): run the study again to train "
            "its members anew"
        ) from error
    return Members(arrays)


def read_shards(
    artifacts: Artifacts, cell: str, dataset_fingerprint: str, columns: Sequence[str] = COLUMNS
) -> Iterator[Members]:
    """All members of a cell's run, a shard at a time."""
    for name in shard_names(artifacts, cell):
        path = artifacts.get(name)
        try:
            shard = read_shard(path, cell, dataset_fingerprint, columns)
        except MemregError:
            artifacts.forget(name)  # a study may mend it
            raise
        yield shard


def shard_names(artifacts: Artifacts, cell: str) -> list[str]:
    """Artifact paths of a cell's shards. Raises `MemregError` where there is none."""
    names = artifacts.names("predictions", ".arrow")
    if not names:
        artifacts.check()
        raise MemregError(f"cell {cell[:12]} has no prediction shards yet")
    return names


def _check(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    crc32 = json.loads(metadata["memreg.crc32"])
    n_train, n_test = int(metadata["n_train"]), int(metadata["n_test"])
    widths = {"member": (), "seed": (), "exact": (), "included": (n_train,)}
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
