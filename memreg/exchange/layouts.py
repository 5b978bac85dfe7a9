"""The layouts in which others keep predictions: docs/import.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from memreg.errors import MemregError
from memreg.exchange.directories import kind_of
from memreg.exchange.files import archive, listed, rows
from memreg.exchange.outside import Brought, Outside, checked_flags, contradiction, outside, same_names

NAMES = ("trainset_mask", "trainset_correctness", "testset_correctness")
OPTIONAL = ("train_labels", "test_labels", "predicted", "p_label", "margin", "p_max")
COLUMNS = (
    "member",
    "split",
    "example",
    "included",
    "correct",
    "label",
    "predicted",
    "p_label",
    "margin",
    "p_max",
)
SURE = ("p_label", "margin", "p_max")


def read(path: Path) -> Outside:
    """Members in a file or directory of any known layout. Raises `MemregError` for all else."""
    if path.is_dir():
        reader = kind_of(path) or (table if any(path.rglob("*.parquet")) else None)
        if reader is None:
            raise MemregError(
                f"{path}: no directories experiment*, as LiRA's layout has, nor another of docs/import.md"
            )
        return _read(reader, path)
    if not path.is_file():
        raise MemregError(f"{path}: there is no such file or directory")
    readers = {".npz": feldman_zhang, ".csv": table, ".parquet": table}
    if path.suffix not in readers:
        raise MemregError(f"{path}: must be .npz, .csv, .parquet, an archive .zip, or a directory of members")
    return _read(readers[path.suffix], path)


def _read(layout: Callable[[Path], Outside], path: Path) -> Outside:
    try:
        return layout(path)
    except MemregError:
        raise
    except Exception as error:  # arrays of any shape and type, tables with any metadata
        why = " ".join(str(error).split())
        raise MemregError(
            f"{path}: not in a layout that memreg knows ({type(error).__name__}: {why})"
        ) from error


def feldman_zhang(path: Path) -> Outside:
    """`trainset_mask` and `trainset_correctness` [k, n_train], `testset_correctness` [k, n_test], as
    mnist_infl_mem.py of google-research/heldout-influence-estimation calls its arrays.

    Where given, too: `train_labels`, `test_labels`, `predicted`, which without labels says only which members
    diverged, `p_label`, `p_max` and `margin`, the label's log odds [k, N].
    """
    arrays = archive(path, (*NAMES, *OPTIONAL))
    if missing := {*NAMES[:2]} - arrays.keys():
        has = ", ".join(listed(path)[:8]) or "nothing"
        raise MemregError(
            f"{path}: no {' and no '.join(sorted(missing))}, as Feldman & Zhang's layout has, but {has}: "
            "estimates alone say nothing of members"
        )
    included = checked_flags(path, "trainset_mask", arrays["trainset_mask"])
    on_train = checked_flags(path, "trainset_correctness", arrays["trainset_correctness"])
    empty = np.zeros((len(on_train), 0), bool)
    on_test = checked_flags(path, "testset_correctness", arrays.get("testset_correctness", empty))
    if included.ndim != 2 or included.shape != on_train.shape or on_test.shape[:1] != included.shape[:1]:
        raise MemregError(
            f"{path}: trainset_mask {included.shape}, trainset_correctness {on_train.shape} and "
            f"testset_correctness {on_test.shape} must have a row for each member, a column for each example"
        )
    correct = np.concatenate([on_train, on_test], 1)
    labels = None
    if "train_labels" in arrays:
        parts = (arrays["train_labels"], arrays.get("test_labels", arrays["train_labels"][:0]))
        labels = np.concatenate([np.asarray(part) for part in parts])
    predicted = arrays.get("predicted")
    sure: dict[str, Any] = {name: arrays.get(name) for name in SURE}
    brought = Brought(included, correct, labels, predicted, **sure)
    read = outside(path, brought)
    if predicted is not None and (at := contradiction(read, correct)) is not None:
        member, example = at
        raise MemregError(
            f"{path}: correctness contradicts predicted and labels, first of member {member}, "
            f"example {example}"
        )
    return read


def table(path: Path) -> Outside:
    """A row for each member and example: `member`, `example` (0, 1, ... within its split), `included`, and
    `correct`, or else `label` and `predicted`.

    Where given, too: `split` (`train` or `test`), `p_label`, `p_max`, `margin` (the label's log odds).
    """
    given = rows(path, COLUMNS)
    if missing := {"member", "example", "included"} - {*given.columns}:
        raise MemregError(f"{path}: no column {' and no column '.join(sorted(missing))}")
    if "correct" not in given and not {"label", "predicted"} <= {*given.columns}:
        raise MemregError(f"{path}: neither a column correct nor columns label and predicted")
    if "split" not in given:
        given["split"] = "train"
    given["split"] = given["split"].astype(str)  # not in the order of a categorical's
    if odd := {*given["split"]} - {"train", "test"}:
        raise MemregError(f"{path}: split must be train or test, not {odd.pop()!r}")
    for name in ("member", "example"):
        if given[name].dtype.kind not in "iu" or given[name].isna().any():
            raise MemregError(f"{path}: column {name} must be whole numbers")
    given["row"] = np.arange(1, len(given) + 1)
    given = given.sort_values(["member", "split", "example"], ascending=[True, False, True], kind="stable")
    k = given["member"].nunique()
    n_train, n_test = (len(given[given["split"] == split]) // max(k, 1) for split in ("train", "test"))
    n = n_train + n_test
    expected = np.concatenate([np.arange(n_train), np.arange(n_test)])
    if not n_train or len(given) != k * n or (given["example"].to_numpy().reshape(k, n) != expected).any():
        raise MemregError(
            f"{path}: each of {k} members must have a row for each example, 0, 1, ... within its split"
        )
    wide = {name: given[name].to_numpy().reshape(k, n) for name in given.columns}
    included = checked_flags(path, "included", wide["included"][:, :n_train])
    labels = None
    if "label" in wide:
        labels = wide["label"][0]
        if (wide["label"] != labels).any():
            raise MemregError(f"{path}: an example has one label, whichever the member")
    predicted = wide.get("predicted")
    if predicted is not None and labels is not None:
        same_names(path, labels, predicted)
    correct = checked_flags(path, "correct", wide["correct"]) if "correct" in wide else None
    sources = [f"member {member}" for member in wide["member"][:, 0]]
    sure: dict[str, Any] = {name: wide.get(name) for name in SURE}
    read = outside(path, Brought(included, correct, labels, predicted, sources=sources, **sure))
    if correct is not None and predicted is not None and contradiction(read, correct) is not None:
        row = int(wide["row"][read.members.correct(read.labels) != correct].min())
        raise MemregError(f"{path}: correct contradicts predicted and label, first in row {row} of the data")
    return read
