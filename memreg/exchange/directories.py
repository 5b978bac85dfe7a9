"""Directories in which others keep members: LiRA's, Feldman & Zhang's runs, datamodels', privacy_meter's."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from memreg.errors import MemregError
from memreg.exchange.files import archive, array, natural
from memreg.exchange.outside import (
    DIVERGED,
    WRONG,
    Brought,
    Flags,
    Outside,
    checked_flags,
    checked_labels,
    outside,
)

RUN = ("correctness_train", "correctness_removed", "correctness_test")
INDEX = ("index_train", "index_removed", "index_test")
log = logging.getLogger(__name__)


def kind_of(directory: Path) -> Callable[[Path], Outside] | None:
    """What reads this directory; None where it is in no layout of these."""
    if any(directory.glob("*masks*.npy")):
        return datamodels
    if (directory / "models" / "memberships.npy").is_file() or (directory / "memberships.npy").is_file():
        return privacy_meter
    if any(directory.glob("*/aux_arrays.npz")) or any(directory.glob("*/*/aux_arrays.npz")):
        return runs
    if any(directory.glob("experiment*/")) or any(directory.glob("*/keep.npy")):
        return lira
    return None


def lira(directory: Path) -> Outside:
    """`y_train.npy` [n], and for each member a directory with `keep.npy` [n] and `logits/<epoch>.npy` or
    `logits.npy` [n, 1, augmentations, classes], [n, augmentations, classes] or [n, classes].

    The last epoch counts, the same for all; the class is that of the mean probability over augmentations. As
    train.py and inference.py of tensorflow/privacy, research/mi_lira_2021, write them, and others after it.
    There are no test examples.
    """
    folders = _folders(directory)
    members = [m for m in folders if m.name.startswith("experiment") or (m / "keep.npy").is_file()]
    _say_skipped(directory, len(folders) - len(members), "keep.npy")
    labels = array(directory / "y_train.npy")
    keeps: list[Flags] = []
    classes, margin, p_max = [], [], []
    first = ""
    for member in members:
        file, epoch = _logits(member)
        logits, keep = array(file), checked_flags(member, "keep.npy", array(member / "keep.npy"))
        n = len(logits) if logits.ndim >= 2 else 0
        if (
            logits.ndim < 2
            or logits.dtype.kind != "f"
            or keep.ndim != 1
            or not 0 < n <= min(len(keep), len(labels))
        ):
            raise MemregError(
                f"{file}: logits {logits.dtype} {logits.shape} do not fit keep.npy {keep.shape} and "
                f"y_train.npy {labels.shape}: they must be [examples, 1, augmentations, classes]"
            )
        if keeps and n != len(keeps[0]):
            raise MemregError(f"{file}: logits of {n} examples, and {len(keeps[0])} in {members[0].name}")
        first = first or epoch
        if epoch != first:
            raise MemregError(f"{member}: its last epoch is {epoch}, and {first} that of {members[0].name}")
        own = checked_labels(directory / "y_train.npy", labels[:n], n)
        if own.max() >= logits.shape[-1]:
            raise MemregError(
                f"{directory}: labels go up to {own.max()}, logits have {logits.shape[-1]} classes"
            )
        with np.errstate(invalid="ignore"):
            log_p = log_softmax(np.asarray(logits, np.float64).reshape(n, -1, logits.shape[-1]), axis=2)
            p = np.exp(log_p).mean(1)
        diverged = not np.isfinite(p).all()
        keeps.append(keep[:n])
        classes.append(np.full(n, DIVERGED) if diverged else p.argmax(1))
        margin.append(_margin(log_p, own))
        p_max.append(p.max(1))
    predicted = np.stack(classes)
    names = [member.name for member in members]
    sure = {"p_max": np.stack(p_max), "margin": np.stack(margin)}
    return outside(directory, Brought(np.stack(keeps), None, own, predicted, sources=names, **sure))


def _margin(log_p: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log odds of the labels [n] by the mean probability over augmentations.

    log_p: [n, augmentations, classes].
    No probability is subtracted from 1, so that the tails are there.
    """
    rows, others = np.arange(len(labels)), log_p.copy()
    others[rows, :, labels] = -np.inf
    margin: NDArray[np.float64] = logsumexp(log_p[rows, :, labels], axis=1) - logsumexp(others, axis=(1, 2))
    return margin


def runs(directory: Path) -> Outside:
    """For each member a directory with `aux_arrays.npz`, as Feldman & Zhang publish beside checkpoints:
    `correctness_<split>` and `index_<split>` of train, removed and test, and `subsample_idx`."""
    members = [m for m in _folders(directory) if (m / "aux_arrays.npz").is_file()]
    if not members:
        ratios = natural(m.name for m in _folders(directory) if any(m.glob("*/aux_arrays.npz")))
        one = directory / ratios[0]
        raise MemregError(f"{directory}: members of several subset ratios: name one, as {one}")
    _say_skipped(directory, len(_folders(directory)) - len(members), "aux_arrays.npz")
    included: list[Flags] = []
    right: list[Flags] = []
    for member in members:
        file = member / "aux_arrays.npz"
        found = archive(file, (*RUN, *INDEX, "subsample_idx"))
        if missing := {*RUN[:2], *INDEX[:2]} - found.keys():
            raise MemregError(f"{file}: no {' and no '.join(sorted(missing))}")
        seen, left = found["index_train"], found["index_removed"]
        if "subsample_idx" in found and {*found["subsample_idx"].tolist()} != {*seen.tolist()}:
            raise MemregError(f"{file}: subsample_idx and index_train name different training examples")
        on_train = np.concatenate([found[key] for key in RUN[:2]])
        train = _ordered(file, np.concatenate([seen, left]), checked_flags(file, "correctness", on_train))
        mask = np.zeros(len(train), bool)
        mask[seen] = True
        test = checked_flags(file, RUN[2], found.get("correctness_test", np.zeros(0, bool)))
        test = _ordered(file, found.get("index_test", np.arange(len(test))), test)
        if included and (len(mask), len(train) + len(test)) != (len(included[0]), len(right[0])):
            raise MemregError(f"{file}: {len(train)} and {len(test)} examples, unlike {members[0].name}")
        included.append(mask)
        right.append(np.concatenate([train, test]))
    names = [member.name for member in members]
    return outside(directory, Brought(np.stack(included), np.stack(right), sources=names))


def datamodels(directory: Path) -> Outside:
    """`masks.npy` [k, n_train] and margins [k, n], the label's logit over the best other: above 0 is right.

    As MadryLab/datamodels and datamodels-data have them: `train_masks*`, `train_margins*`, `test_margins*`.

    Rows that `_completed.npy` has as not done are no members.
    """
    file = _only(directory, "*masks*.npy")
    assert file is not None
    masks, train, test = (
        array(file),
        _only(directory, "train_margins*.npy"),
        _only(directory, "test_margins*.npy"),
    )
    if masks.ndim != 2:
        raise MemregError(f"{file}: must be a row for each member, a column for each training example")
    plain = _only(directory, "margins*.npy")
    if train is None and plain is not None and array(plain).shape == masks.shape:
        train, plain = plain, None
        log.warning("%s is taken for the training examples, of which masks has as many", train)
    if train is None:
        raise MemregError(
            f"{directory}: no margins of the {masks.shape[1]} training examples, so no score: "
            "put them in train_margins.npy, those of test examples in test_margins.npy"
        )
    margins = [array(path) for path in (train, test or plain) if path is not None]
    done = np.ones(len(masks), bool)
    if (path := directory / "_completed.npy").is_file():
        done = checked_flags(path, "_completed", array(path)).reshape(-1)
    fits = all(m.ndim == 2 and len(m) == len(masks) for m in margins) and margins[0].shape == masks.shape
    if not fits or len(done) != len(masks):
        shapes = ", ".join(str(m.shape) for m in (masks, *margins))
        raise MemregError(f"{directory}: masks and margins {shapes} must have a row for each member")
    if not done.all():
        log.warning(
            "%s: %d of %d rows are not completed, and are no members", directory, (~done).sum(), len(done)
        )
    values = np.concatenate([m[done] for m in margins], 1)
    if values.dtype.kind not in "fiu":
        raise MemregError(f"{directory}: margins must be numbers")
    if ties := int((values == 0).sum()):
        raise MemregError(f"{directory}: {ties} margins are 0, neither right nor wrong: leave these rows out")
    right = values > 0
    diverged = np.isnan(values).any(1)
    predicted = np.where(diverged[:, None], DIVERGED, np.where(right, 0, WRONG))
    included = checked_flags(file, file.name, masks[done])
    names = [f"row {row}" for row in np.flatnonzero(done)]
    return outside(directory, Brought(included, predicted=predicted, sources=names))


def privacy_meter(directory: Path) -> Outside:
    """`models/memberships.npy` [k, n] and `signals/rmia_signals.npy` (the label's probability) or
    `loss_signals.npy` [n, k]; beside them, where given, `labels.npy` [n] and `predicted.npy` [n, k].

    The label's probability tells what is right above 1/2 and, of C classes, what is wrong below 1/C. Where it
    lies between, `predicted.npy` must say.
    """
    models = directory / "models" if (directory / "models").is_dir() else directory
    signals = directory / "signals" if (directory / "signals").is_dir() else directory
    memberships = array(models / "memberships.npy")
    included = checked_flags(models, "memberships.npy", memberships)
    loss, soft = signals / "loss_signals.npy", signals / "rmia_signals.npy"
    if not soft.is_file() and not loss.is_file():
        raise MemregError(f"{signals}: no rmia_signals.npy and no loss_signals.npy")
    p = np.asarray(array(soft), float).T if soft.is_file() else np.exp(-np.asarray(array(loss), float).T)
    if included.ndim != 2 or p.shape != included.shape:
        shapes = f"memberships {included.shape} and signals {p.T.shape}"
        raise MemregError(f"{directory}: {shapes} must be [models, examples] and [examples, models]")
    labels = predicted = None
    if (path := directory / "labels.npy").is_file():
        labels = checked_labels(path, array(path), included.shape[1])
    if (path := directory / "predicted.npy").is_file() and labels is not None:
        predicted = np.asarray(array(path)).T
    correct = None
    if predicted is None:
        fewest = 1 / (1 + labels.max()) if labels is not None else 0.0
        open_ = (p <= 0.5) & (p >= fewest) & ~((fewest == 0.5) & (p < 0.5))
        if open_.any():
            raise MemregError(
                f"{signals}: of {int(open_.sum())} predictions the label's probability does not say whether "
                f"they are right: put labels.npy [n] and the classes, predicted.npy [n, k], into {directory}"
            )
        correct = p > 0.5
    names = [f"model {i}" for i in range(len(included))]
    return outside(directory, Brought(included, correct, labels, predicted, p, sources=names))


def _folders(directory: Path) -> list[Path]:
    found = (
        path.name for path in directory.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))
    )
    return [directory / name for name in natural(found)]


def _say_skipped(directory: Path, count: int, file: str) -> None:
    if count:
        log.warning("%s: passed over %d directories without %s", directory, count, file)


def _logits(member: Path) -> tuple[Path, str]:
    """The file that counts, and its epoch in words."""
    if (member / "logits.npy").is_file() and not (member / "logits").is_dir():
        return member / "logits.npy", "not said"
    found = list((member / "logits").glob("[!.]*.npy"))
    if not found:
        raise MemregError(f"{member}: no logits/*.npy: run LiRA's inference.py, or move it elsewhere")
    if odd := [path for path in found if not path.stem.isdecimal()]:
        raise MemregError(f"{odd[0]}: its name must be an epoch, as 0000000100.npy")
    last = max(found, key=lambda path: int(path.stem))
    return last, str(int(last.stem))


def _ordered(file: Path, index: NDArray[Any], values: Flags) -> Flags:
    """Values by the numbers of their examples, each of which must come once."""
    if index.shape != values.shape or not np.array_equal(np.sort(index), np.arange(len(values))):
        raise MemregError(f"{file}: its index_* do not name each example once")
    ordered = np.empty(len(values), bool)
    ordered[index] = values
    return ordered


def _only(directory: Path, pattern: str) -> Path | None:
    found = sorted(directory.glob(pattern))
    if len(found) > 1:
        raise MemregError(
            f"{directory}: {found[0].name} and {found[1].name}: leave those of one set of members"
        )
    return found[0] if found else None
