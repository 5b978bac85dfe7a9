"""The onion: leave out the examples that membership inference tells best, and see who is told then.

    python benchmarks/onion.py CELL [--share 0.1] [--members 200]

CELL is a stored cell. Of its training examples the given share with the highest AUC is taken away, and, for
comparison, as many random ones of the same classes. Cells like CELL are trained on what is left and attacked;
the AUC of the examples that are left is compared with what it was. One half of CELL's members chooses, and
the other says what it was: those that are not chosen have too low an AUC by the members that chose. The data
sets are written to the working directory as .npz files.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from memreg.data.stored import images_of
from memreg.registry import Registry, StoredCell
from memreg.scoring.privacy import margins_of, separations_in_halves

TOLD = "privacy/tpr_0.001"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cell")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--members", type=int, default=200)
    arguments = parser.parse_args()
    cell = Registry().cell(arguments.cell)
    choosing, before = separations_in_halves(margins_of(cell).known)
    told = np.argsort(-choosing, kind="stable")[: round(arguments.share * cell.n_train)]
    for name, gone in (("most told", told), ("random", _alike(cell.train_labels, told))):
        left = np.setdiff1d(np.arange(cell.n_train), gone)
        after = _attacked(cell, left, name, arguments.members)
        _compare(name, before[left], separations_in_halves(margins_of(after).known)[1], after)


def _alike(labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """As many random examples of each class."""
    rng = np.random.default_rng(0)
    counts = np.bincount(labels[gone], minlength=labels.max() + 1)
    chosen = [rng.choice(np.flatnonzero(labels == c), n, replace=False) for c, n in enumerate(counts)]
    return np.concatenate(chosen)


def _attacked(cell: StoredCell, left: np.ndarray, name: str, members: int) -> StoredCell:
    """A cell like the other on some of its training examples, trained and attacked."""
    data = images_of(cell.cell, None)
    path = Path.cwd() / f"onion-{name.replace(' ', '-')}.npz"
    np.savez(
        path,
        train_images=np.asarray(data.train_images)[left],
        train_labels=data.train_labels[left],
        test_images=np.asarray(data.test_images),
        test_labels=data.test_labels,
    )
    program, study = Path(sys.executable).with_name("memreg"), path.stem
    like = ["--like", cell.hash, "--dataset", f"npz:{path}", "--members", str(members), "--study", study]
    subprocess.run([program, "train", *like], check=True)
    found = Registry().cells(study)["cell"].iloc[-1]
    subprocess.run([program, "privacy", "--cell", found], check=True)
    return Registry().cell(found)


def _compare(name: str, before: np.ndarray, after: np.ndarray, cell: StoredCell) -> None:
    """AUCs of the same examples, each from half the members of a cell."""
    change = after - before
    half = student.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    m = cell.metrics
    rate = f"{m[TOLD]:.2%}" if TOLD in m else "unknown, of too few trials"
    print(f"without {name}: {len(after):,} examples left")
    print(f"  mean AUC       {before.mean():.4f} before, {after.mean():.4f} after")
    ends = f"[{change.mean() - half:+.4f}, {change.mean() + half:+.4f}]"
    print(f"  change         {change.mean():+.4f} {ends} over examples")
    print(f"  AUC of 0.8 up  {(before >= 0.8).sum():,} before, {(after >= 0.8).sum():,} after")
    print(f"  LiRA at 0.1 %  {rate}, test accuracy {m['test_accuracy']:.2%}")


if __name__ == "__main__":
    main()
