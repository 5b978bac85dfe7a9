"""Arrays as an Arrow IPC file of zstd columns, each with its checksum: a row per member. Never a pickle."""

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memreg.files import write_atomically

CRC32 = "memreg.crc32"


def write_columns(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays, [rows] or [rows, width], under `path`: complete there or not there at all.

    Each column's CRC-32 goes into the schema metadata, since neither Arrow nor zstd frames as Arrow writes
    them would notice a flipped bit.
    """
    checked = {**metadata, CRC32: json.dumps({name: _crc(array) for name, array in arrays.items()})}
    table = pa.table({name: _to_arrow(array) for name, array in arrays.items()})
    table = table.replace_schema_metadata(checked)

    def write(temporary: Path) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with (
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema, options=options) as writer,
        ):
            writer.write_table(table)

    write_atomically(path, write)


def read_columns(
    path: Path, chosen: Callable[[Mapping[str, str], list[str]], list[str]]
) -> dict[str, NDArray[Any]]:
    """Some of a file's columns, checked by their checksums.

    chosen: given the metadata and the names of all columns, those to read. Raises what `UNREADABLE` lists for
    a file that is damaged.
    """
    with pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
        metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
        names = chosen(metadata, schema.names)
        options = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in names])
        table = pa.ipc.open_file(source, options=options).read_all()
        arrays = {name: _to_numpy(table.column(name).combine_chunks()) for name in names}
    crc32 = json.loads(metadata[CRC32])
    for name, array in arrays.items():
        if _crc(array) != crc32[name]:
            raise ValueError(f"column '{name}' fails its checksum")
    return arrays


UNREADABLE = (OSError, pa.ArrowException, KeyError, ValueError, UnicodeDecodeError)


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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
