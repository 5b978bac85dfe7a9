"""What people bring, in the layouts that they have it in: written for the table and for the fuzzing."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 4


def npz(path: Path, train, test, **more) -> str:
    """A data set of these labels; each image has one brightness, so that rows can be told apart."""
    train, test = np.asarray(train), np.asarray(test)
    sizes = {"train": len(train), "test": len(test)}
    images = {
        f"{key}_images": np.repeat(np.arange(n, dtype=np.uint8), 64).reshape(n, 8, 8)
        for key, n in sizes.items()
    }
    np.savez(path, **images, train_labels=train, test_labels=test, **more)
    return f"npz:{path}"


def image(path: Path, brightness: int = 0, mode: str = "RGB", **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (brightness,) * 3).convert(mode).save(path, **options)


def folder(root: Path, test: str = "test") -> Path:
    """Two classes, a training image each of brightness 10 and 20, and a test image each."""
    for k, kind in enumerate(("ant", "bee"), 1):
        image(root / "train" / kind / "0.png", 10 * k)
        image(root / test / kind / "0.png", 100 * k)
    return root


def png(path: Path, colour: int, depth: int, channels: int) -> None:
    """A PNG of zeros with this colour type and bit depth, which PIL itself may not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = b"".join(b"\0" + bytes(SIDE * channels * depth // 8) for _ in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


MASK = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]], bool)
RIGHT = np.array([[1, 0, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1]], bool)
TEST = np.array([[1, 0], [0, 1], [1, 1]], bool)
BOTH = np.concatenate([RIGHT, TEST], 1)


def lira(
    root: Path, names=("experiment-0_3", "experiment-1_3", "experiment-2_3"), epochs=("0000000100",)
) -> Path:
    root.mkdir()
    np.save(root / "y_train.npy", np.zeros(4, int))
    for name, keep, right in zip(names, MASK, RIGHT, strict=True):
        logits = np.stack([right, ~right], -1).astype(np.float32)
        (root / name / "logits").mkdir(parents=True)
        np.save(root / name / "keep.npy", keep)
        for epoch in epochs:
            np.save(
                root / name / "logits" / f"{epoch}.npy",
                logits[:, None, None] if epoch == epochs[-1] else -logits,
            )
    return root


def one_file_a_member(root: Path) -> Path:
    lira(root, names=("0", "1", "10"))
    for name in ("0", "1", "10"):
        (root / name / "logits" / "0000000100.npy").rename(root / name / "logits.npy")
        (root / name / "logits").rmdir()
    return root


def runs(root: Path) -> Path:
    """Feldman & Zhang's, with examples in another order for each."""
    for i, (keep, right, test) in enumerate(zip(MASK, RIGHT, TEST, strict=True)):
        (root / str(i) / "checkpoints").mkdir(parents=True)
        seen, left = np.flatnonzero(keep)[::-1], np.flatnonzero(~keep)
        np.savez(
            root / str(i) / "aux_arrays.npz",
            subsample_idx=seen,
            index_train=seen,
            index_removed=left,
            index_test=np.array([1, 0]),
            correctness_train=right[seen],
            correctness_removed=right[left],
            correctness_test=test[::-1],
        )
    return root


def datamodels(root: Path) -> Path:
    root.mkdir()
    store = {
        "masks": MASK,
        "train_margins": RIGHT - 0.5,
        "test_margins": TEST - 0.5,
        "_completed": np.ones(3, bool),
    }
    for name, content in store.items():
        array = np.asarray(content, np.float16 if "margins" in name else bool)
        mapped = np.lib.format.open_memmap(root / f"{name}.npy", "w+", array.dtype, array.shape)
        mapped[:] = array
        mapped.flush()
    return root


def privacy_meter(root: Path) -> Path:
    (root / "models").mkdir(parents=True)
    (root / "signals").mkdir()
    np.save(root / "models" / "memberships.npy", MASK)
    np.save(root / "signals" / "rmia_signals.npy", np.where(RIGHT, 0.9, 0.1).T)
    np.save(root / "labels.npy", np.array([0, 1, 0, 1]))
    return root


def table(columns=("member", "split", "example", "included", "label", "predicted")):
    import pandas as pd

    rows = [
        {"member": m, "split": s, "example": e, "included": bool(s == "train" and MASK[m, e]), "label": e % 2}
        for m in range(3)
        for s, n in (("train", 4), ("test", 2))
        for e in range(n)
    ]
    frame = pd.DataFrame(rows)
    frame["correct"] = BOTH.reshape(-1)
    frame["predicted"] = np.where(frame["correct"], frame["label"], 1 - frame["label"])
    return frame[list(columns)]
