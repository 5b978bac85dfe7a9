"""Arrays and tables of others, read without unpickling, and no more of them than is asked for."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from memreg.errors import MemregError

BLANK, NAN = ("",), ("", "nan", "NaN", "NAN", "NA")
MISSING = {
    **dict.fromkeys(("member", "example", "included", "correct", "split"), BLANK),
    **dict.fromkeys(("p_label", "margin", "p_max"), NAN),
}
"""What stands for nothing in a CSV: a class may be called NA, None or nan."""


def archive(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Those of these arrays of an .npz that it has."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in names if name in content.files}
    except Exception as error:  # the parsers of ZIP, deflate and .npy raise of every kind
        raise MemregError(f"{path}: damaged, or not plain arrays as numpy.savez writes them") from error


def listed(path: Path) -> list[str]:
    """Names of an .npz's arrays."""
    with np.load(path, allow_pickle=False) as content:
        return list(content.files)


def array(path: Path) -> NDArray[Any]:
    """An .npy, memory-mapped."""
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise MemregError(f"{path}: there is no such file") from error
    except Exception as error:
        raise MemregError(f"{path}: damaged, or no plain array as numpy.save writes it") from error
    if not isinstance(found, np.ndarray) or found.ndim == 0:
        raise MemregError(f"{path}: no array as numpy.save writes it")
    return found


def rows(path: Path, known: Collection[str]) -> pd.DataFrame:
    """The known columns of a CSV, a Parquet file or a directory of them; a named index is a column."""
    try:
        return _csv(path, known) if path.suffix == ".csv" else _parquet(path, known)
    except (OSError, ValueError, pa.ArrowException) as error:
        kind = "parquet" if path.is_dir() else path.suffix[1:]
        raise MemregError(f"{path}: damaged, or no {kind} file") from error


def natural(names: Iterable[str]) -> list[str]:
    """Sort names, with numbers in them by their values: 2 comes before 10."""
    return sorted(names, key=lambda name: [(int(p), "") if p.isdecimal() else (-1, p) for p in _parts(name)])


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


def _csv(path: Path, known: Collection[str]) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = [name.strip() for name in next(csv.reader(file), [])]
    _once(path, header, known)
    frame: pd.DataFrame = pd.read_csv(
        path,
        encoding="utf-8-sig",
        skipinitialspace=True,
        usecols=lambda name: name.strip() in known,
        keep_default_na=False,
        na_values={name: list(values) for name, values in MISSING.items()},
        low_memory=False,
    )
    return frame.rename(columns=str.strip)


def _parquet(path: Path, known: Collection[str]) -> pd.DataFrame:
    names = pq.ParquetDataset(path).schema.names
    _once(path, names, known)
    frame: pd.DataFrame = pq.read_table(path, columns=[name for name in names if name in known]).to_pandas()
    index = [name for name in frame.index.names if name in known and name not in frame.columns]
    return frame.reset_index(index) if index else frame


def _once(path: Path, names: Iterable[str], known: Collection[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in known]:
        raise MemregError(f"{path}: there are two columns {twice[0]}: keep one")
