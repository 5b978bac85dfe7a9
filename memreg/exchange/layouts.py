"""The layouts in which others keep predictions: docs/import.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from memreg.errors import MemregError
from memreg.exchange.outside import DIVERGED, Flags, Outside, checked_flags, checked_labels, outside


def read(path: Path) -> Outside:
    """Members in a file or directory of any known layout. Raises `MemregError` for all else."""
    if path.is_dir():
        return _read(lira, path)
    if not path.is_file():
        raise MemregError(f"{path}: there is no such file or directory")
    readers = {".npz": feldman_zhang, ".csv": table, ".parquet": table}
    if path.suffix not in readers:
        raise MemregError(f"{path}: must be .npz, .csv, .parquet, an archive .zip, or a directory of LiRA's")
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

    Where given, too: `train_labels`, `test_labels`, and with them `predicted`, `p_label`, `p_max` [k, N].
    """
    arrays = _archive(path)
    if missing := {"trainset_mask", "trainset_correctness"} - arrays.keys():
        raise MemregError(f"{path}: no {' and no '.join(sorted(missing))}, as Feldman & Zhang's layout has")
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
        parts = (arrays["train_labels"], arrays.get("test_labels", np.zeros(0, np.int64)))
        labels = checked_labels(path, np.concatenate([np.asarray(part) for part in parts]), correct.shape[1])
    predicted = arrays.get("predicted") if labels is not None else None
    return outside(path, included, correct, labels, predicted, arrays.get("p_label"), arrays.get("p_max"))


def lira(directory: Path) -> Outside:
    """`y_train.npy` [n], and for each member a directory `experiment*` with `keep.npy` [n] and
    `logits/<epoch>.npy` [n, 1, augmentations, classes], of which the last epoch counts, as train.py and
    inference.py of tensorflow/privacy, research/mi_lira_2021, write them.

    The class is that of the mean probability over augmentations. There are no test examples.
    """
    members = sorted(path for path in directory.glob("experiment*") if path.is_dir())
    if not members:
        raise MemregError(f"{directory}: no directories experiment*, as LiRA's layout has")
    keeps: list[Flags] = []
    classes, p_label, p_max = [], [], []
    labels = _array(directory / "y_train.npy")
    for member in members:
        epochs = sorted((member / "logits").glob("*.npy"))
        if not epochs:
            raise MemregError(f"{member}: no logits/*.npy: run LiRA's inference.py, or move it elsewhere")
        logits, keep = _array(epochs[-1]), checked_flags(member, "keep.npy", _array(member / "keep.npy"))
        n = len(logits) if logits.ndim >= 2 else 0
        if (
            logits.ndim < 2
            or logits.dtype.kind != "f"
            or keep.ndim != 1
            or not 0 < n <= min(len(keep), len(labels))
        ):
            raise MemregError(
                f"{epochs[-1]}: logits {logits.dtype} {logits.shape} do not fit keep.npy {keep.shape} and "
                f"y_train.npy {labels.shape}: they must be [examples, 1, augmentations, classes]"
            )
        if keeps and n != len(keeps[0]):
            raise MemregError(
                f"{epochs[-1]}: logits of {n} examples, and {len(keeps[0])} in {members[0].name}"
            )
        own = checked_labels(directory / "y_train.npy", labels[:n], n)
        if own.max() >= logits.shape[-1]:
            raise MemregError(
                f"{directory}: labels go up to {own.max()}, logits have {logits.shape[-1]} classes"
            )
        with np.errstate(invalid="ignore"):
            p = softmax(logits.reshape(n, -1, logits.shape[-1]), axis=2).mean(1)
        diverged = not np.isfinite(p).all()
        keeps.append(keep[:n])
        classes.append(np.full(n, DIVERGED) if diverged else p.argmax(1))
        p_label.append(p[np.arange(n), own])
        p_max.append(p.max(1))
    predicted = np.stack(classes)
    return outside(
        directory, np.stack(keeps), predicted == own, own, predicted, np.stack(p_label), np.stack(p_max)
    )


def table(path: Path) -> Outside:
    """A row for each member and example: `member`, `example` (0, 1, ... within its split), `included`, and
    `correct`, or else `label` and `predicted`.

    Where given, too: `split` (`train` or `test`), `p_label`, `p_max`.
    """
    rows = _rows(path)
    if missing := {"member", "example", "included"} - {*rows.columns}:
        raise MemregError(f"{path}: no column {' and no column '.join(sorted(missing))}")
    if "correct" not in rows and not {"label", "predicted"} <= {*rows.columns}:
        raise MemregError(f"{path}: neither a column correct nor columns label and predicted")
    if "split" not in rows:
        rows["split"] = "train"
    rows["split"] = rows["split"].astype(str)  # not in the order of a categorical's
    if odd := {*rows["split"]} - {"train", "test"}:
        raise MemregError(f"{path}: split must be train or test, not {odd.pop()!r}")
    for name in ("member", "example"):
        if rows[name].dtype.kind not in "iu" or rows[name].isna().any():
            raise MemregError(f"{path}: column {name} must be whole numbers")
    rows = rows.sort_values(["member", "split", "example"], ascending=[True, False, True], kind="stable")
    k = rows["member"].nunique()
    n_train, n_test = (len(rows[rows["split"] == split]) // max(k, 1) for split in ("train", "test"))
    n = n_train + n_test
    expected = np.concatenate([np.arange(n_train), np.arange(n_test)])
    if not n_train or len(rows) != k * n or (rows["example"].to_numpy().reshape(k, n) != expected).any():
        raise MemregError(
            f"{path}: each of {k} members must have a row for each example, 0, 1, ... within its split"
        )
    wide = {name: rows[name].to_numpy().reshape(k, n) for name in rows.columns}
    included = checked_flags(path, "included", wide["included"][:, :n_train])
    labels = None
    if "label" in wide:
        labels = checked_labels(path, wide["label"][0], n)
        if (wide["label"] != labels).any():
            raise MemregError(f"{path}: an example has one label, whichever the member")
    predicted = wide.get("predicted") if labels is not None else None
    correct = (
        predicted == labels if predicted is not None else checked_flags(path, "correct", wide["correct"])
    )
    return outside(path, included, correct, labels, predicted, wide.get("p_label"), wide.get("p_max"))


def _archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # the parsers of ZIP, deflate and .npy raise of every kind
        raise MemregError(f"{path}: damaged, or not plain arrays as numpy.savez writes them") from error


def _array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise MemregError(f"{path}: there is no such file") from error
    except Exception as error:
        raise MemregError(f"{path}: damaged, or no plain array as numpy.save writes it") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise MemregError(f"{path}: no array as numpy.save writes it")
    return array


def _rows(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MemregError(f"{path}: damaged, or no {path.suffix[1:]} file") from error
