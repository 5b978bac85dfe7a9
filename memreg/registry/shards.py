"""Prediction shards: one Arrow IPC file (Feather v2, zstd) with a row per member. Never a pickle."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg import margins
from memreg.errors import MemregError
from memreg.members import COLUMNS, SURE, Members
from memreg.registry.artifacts import Artifacts
from memreg.registry.columns import UNREADABLE, first_line, read_columns, write_columns

SCHEMA = "2"
"""With `margin`, and `p_other`: the probability of the predicted class where that is not the label's own,
else 0. Schema 1, written where there are no margins, has `p_label` and `p_max`."""
KEPT = ("member", "seed", "included", "predicted", "p_max")


def write_shard(path: Path, members: Members, cell: str, dataset_fingerprint: str) -> None:
    """Write members under `path`: complete there or not there at all.

    cell: the cell hash.
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
    }
    write_columns(path, arrays, metadata)


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
    sizes = dict[str, int]()
    wanted = [name for name in columns if name not in SURE]
    sure: list[str] = []

    def chosen(metadata: Mapping[str, str], there: list[str]) -> list[str]:
        if metadata.get("memreg.schema") not in ("1", SCHEMA):
            raise MemregError(
                f"{path}: not a prediction shard of schema 1 or {SCHEMA} but "
                f"{metadata.get('memreg.schema', 'none')}"
            )
        check_belongs(path, metadata, cell, dataset_fingerprint)
        sizes.update(n_train=int(metadata["n_train"]), n_test=int(metadata["n_test"]))
        sure.extend(name for name in SURE if name in there)
        names = dict.fromkeys([*wanted, *(sure if len(wanted) < len(columns) else [])])
        if "p_max" in names and "margin" in sure:
            del names["p_max"]
            names |= {"p_other": None, "margin": None}
        return list(names)

    try:
        arrays = read_columns(path, chosen)
        _check_widths(arrays, **sizes)
        if "p_other" in arrays:
            other = arrays.pop("p_other")
            arrays["p_max"] = np.where(other == 0, margins.probability(arrays["margin"]), other)
        asked = sure if len(wanted) < len(columns) else []
        arrays = {name: arrays[name] for name in (*wanted, *asked)}
    except UNREADABLE as error:
        raise MemregError(
            f"{path}: damaged prediction shard ({first_line(error)}): run the study again to train "
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


def check_belongs(
    path: Path, metadata: Mapping[str, str], cell: str | None, dataset_fingerprint: str | None
) -> None:
    """Raise `MemregError` for a file of another cell or data set than named, where they are."""
    _belongs(path, "cell", metadata["memreg.cell"], cell)
    _belongs(path, "data set", metadata["memreg.dataset_fingerprint"], dataset_fingerprint)


def _check_widths(arrays: Mapping[str, NDArray[Any]], n_train: int, n_test: int) -> None:
    widths = {"member": (), "seed": (), "exact": (), "included": (n_train,)}
    for name, array in arrays.items():
        if array.shape[1:] != widths.get(name, (n_train + n_test,)):
            raise ValueError(f"column '{name}' has the wrong width")


def _belongs(path: Path, what: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        raise MemregError(
            f"{path}: belongs to another {what} ({found[:12]}, not {expected[:12]}): "
            "put back the file that was here, or run the study again"
        )
