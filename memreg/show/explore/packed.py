"""Columns of numbers as bytes that a browser reads without parsing: `unpack` in page/data.js."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = {"f": "float32", "i": "int32", "u": "int32", "b": "uint8"}


def pack(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Four bytes with the length of the header, the header, then each column, all at multiples of 8 bytes.

    The header is JSON: name, kind and length of each column. Numbers are little-endian; floating-point ones
    are rounded to single precision.
    """
    arrays = {name: np.ascontiguousarray(a, KINDS[a.dtype.kind]) for name, a in columns.items()}
    header = json.dumps([[name, a.dtype.name, len(a)] for name, a in arrays.items()]).encode()
    parts = [len(header).to_bytes(4, "little"), header]
    for array in arrays.values():
        parts += [b"\0" * (-sum(map(len, parts)) % 8), array.tobytes()]
    return b"".join(parts)
