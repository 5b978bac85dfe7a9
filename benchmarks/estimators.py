"""Scores from stored shards against reading them alone; influence against the reference method's products.

    python benchmarks/estimators.py [--quick]

Scores: 4,000 members x 60,000 examples (50,000 for training), synthetic, in shards of 100 as a cell has
them. The shards are read and checked, then read, checked and scored, in turn; pages are warm. Influence:
50,000 x 10,000 pairs from 4,000 members, by memreg in exact int8 with pairs above 0.15 picked out, and by the
two float32 products of Feldman & Zhang's `_masked_dot` in NumPy, in a process without OPENBLAS_CORETYPE
and OPENBLAS_L2_SIZE, which may hold it to an older kernel. --quick takes a quarter of the members for
scores, and fewer training examples for influence. Each part runs in its own process, whose peak memory is
printed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

N_TEST, CLASSES, SHARD = 10_000, 10, 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--part", nargs=4, metavar=("NAME", "DIRECTORY", "MEMBERS", "N_TRAIN"), help="internal"
    )
    arguments = parser.parse_args()
    if arguments.part:
        name, directory, members, n_train = arguments.part
        said = PARTS[name](Path(directory), int(members), int(n_train))
        said["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(said))
        return
    stored, n_train, members = (1000, 20_000, 4000) if arguments.quick else (4000, 50_000, 4000)
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        part(directory, "write", stored, 50_000)
        scores = part(directory, "scores", stored, 50_000)
    ours, reference = part("", "ours", members, n_train), part("", "reference", members, n_train)
    assert ours["pairs"] == reference["pairs"], (ours["pairs"], reference["pairs"])
    ratio, over = reference["products"] / ours["seconds"], scores["whole"] / scores["read"]
    print(f"{stored:,} members x {50_000 + N_TEST:,} examples, shards of {SHARD}")
    print(f"  read alone          {scores['read']:7.2f} s")
    print(
        f"  read and scored     {scores['whole']:7.2f} s   {over:.2f} times   peak {scores['rss_mb']:.0f} MB"
    )
    print(f"influence {n_train:,} x {N_TEST:,} from {members:,} members, {ours['pairs']:,} pairs above 0.15")
    print(f"  memreg, all of it   {ours['seconds']:7.2f} s   peak {ours['rss_mb']:.0f} MB")
    print(f"  reference, products {reference['products']:7.2f} s   {ratio:.2f} times as long")
    print(f"  reference, all of it{reference['seconds']:7.2f} s   peak {reference['rss_mb']:.0f} MB")
    print(
        json.dumps(
            {
                "scores_over_read": round(over, 3),
                "scores_rss_mb": round(scores["rss_mb"]),
                "influence_ratio": round(ratio, 3),
                "influence_rss_mb": round(ours["rss_mb"]),
                "members_scored": stored,
                "influence_n_train": n_train,
            }
        )
    )


def part(directory: str, name: str, members: int, n_train: int) -> dict[str, float]:
    """What one part says, run in its own process."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    command = [sys.executable, __file__, "--part", name, directory, str(members), str(n_train)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def write(directory: Path, members: int, n_train: int) -> dict[str, float]:
    """Shards of plausible members: sure of most examples, 9 of 10 right, every subset of r = 0.7."""
    from memreg.design import Subsets
    from memreg.margins import clipped, stored
    from memreg.members import Members, Prediction
    from memreg.registry.shards import write_shard

    rng, design, n = np.random.default_rng(0), Subsets(), n_train + N_TEST
    labels = rng.integers(0, CLASSES, n).astype(np.uint8)
    np.save(directory / "labels.npy", labels)
    for first in range(0, members, SHARD):
        rows = []
        for m in range(first, first + SHARD):
            p = (1 - np.minimum(0.9, rng.exponential(0.05, n))).astype(np.float16)
            wrong = rng.random(n) < 0.1
            predicted = np.where(wrong, (labels + 1) % CLASSES, labels).astype(np.uint8)
            p_label = np.where(wrong, 1 - p, p).astype(np.float16)
            margin = stored(clipped(p_label))
            rows.append(Prediction(m, m, design.included(m, n_train), predicted, p, 0.0, margin))
        write_shard(directory / f"{first:06d}.arrow", Members.of(rows), "cell", "data")
    return {}


def scores(directory: Path, members: int, n_train: int) -> dict[str, float]:
    """Seconds of reading alone and of reading and scoring: the better of three each."""
    from memreg.estimators.scores import score_table
    from memreg.members import Members, tallied
    from memreg.registry.shards import read_shard
    from memreg.registry.stored_cell import COUNTED

    labels = np.load(directory / "labels.npy").astype(np.int64)

    def shards() -> Iterator[Members]:
        for path in sorted(directory.glob("*.arrow")):
            yield read_shard(path, "cell", "data", COUNTED)

    def read() -> None:
        for _ in shards():
            pass

    def whole() -> None:
        table = score_table(tallied(shards(), labels).total, labels)
        assert len(table) == n_train
        assert table["score"].notna().all()

    times: dict[str, list[float]] = {"read": [], "whole": []}
    for _ in range(3):
        for name, f in (("read", read), ("whole", whole)):
            start = time.perf_counter()
            f()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def matrices(members: int, n_train: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of r = 0.7 and correctness, with an influence of 0.2 and more for 1,000 pairs."""
    rng = np.random.default_rng(1)
    included = np.empty((members, n_train), bool)
    correct = np.empty((members, N_TEST), bool)
    for m in range(members):
        included[m] = rng.random(n_train, np.float32) < 0.7
        correct[m] = rng.random(N_TEST, np.float32) < 0.5
    correct[:, :1000] |= included[:, :1000] & (rng.random((members, 1000), np.float32) < 0.6)
    return included, correct


def ours(directory: Path, members: int, n_train: int) -> dict[str, float]:
    from memreg.estimators.influence import strong_pairs

    included, correct = matrices(members, n_train)
    strong_pairs(included[:, :512], correct, 0.15)
    start = time.perf_counter()
    pairs = strong_pairs(included, correct, 0.15).above
    return {"seconds": time.perf_counter() - start, "pairs": pairs}


def reference(directory: Path, members: int, n_train: int) -> dict[str, float]:
    """`_masked_dot` of google-research/heldout-influence-estimation, its products timed by themselves."""
    included, correct = matrices(members, n_train)
    products = 0.0

    def masked_dot(x: np.ndarray, mask: np.ndarray, eps: float = 1e-10) -> np.ndarray:
        nonlocal products
        x = x.T.astype(np.float32)
        mask = mask.astype(np.float32)
        start = time.perf_counter()
        product: np.ndarray = np.matmul(x, mask)
        products += time.perf_counter() - start
        product /= np.maximum(np.sum(mask, axis=0, keepdims=True), eps)
        return product

    np.matmul(np.ones((512, 512), np.float32), np.ones((512, 512), np.float32))
    start = time.perf_counter()
    influence = masked_dot(correct, included)
    influence -= masked_dot(correct, ~included)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "products": products, "pairs": int((influence >= 0.15).sum())}


PARTS = {f.__name__: f for f in (write, scores, ours, reference)}

if __name__ == "__main__":
    main()
