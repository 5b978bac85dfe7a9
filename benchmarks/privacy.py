"""Membership inference of 1,000 members x 50,000 examples against reading their shards.

    python benchmarks/privacy.py [--quick]

Synthetic members in shards of 100 and blocks of 10 (r = 0.7), with 10,000 test examples. The shards are read
and checked; then they are read, checked and attacked in all ways, with every example's table, the intervals
and the figures, as `memreg privacy` does; pages are warm and imports done, each in a process of its
own, the better of two.
--quick takes a quarter of the examples.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from typing_extensions import override

if TYPE_CHECKING:
    from memreg.members import Members

N_TEST, CLASSES, SHARD, MEMBERS = 10_000, 10, 100, 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    n_train = 12_500 if parser.parse_args().quick else 50_000
    with tempfile.TemporaryDirectory(prefix="memreg-") as name:
        directory = Path(name)
        write(directory, n_train)
        read, _ = alone(shards, directory)
        whole, peak = alone(attack, directory)
    print(f"{MEMBERS:,} members x {n_train:,} examples and {N_TEST:,} for tests, shards of {SHARD}")
    print(f"  read alone         {read:6.2f} s")
    print(f"  read and attacked  {whole:6.2f} s   {whole / read:.2f} times   peak {peak:.0f} MB")
    print(
        json.dumps({"privacy_over_read": round(whole / read, 3), "rss_mb": round(peak), "n_train": n_train})
    )


def alone(what: Callable[[Path], object], directory: Path) -> tuple[float, float]:
    """Seconds and peak memory in MiB, in a process of its own: the better of two."""
    found = []
    for _ in range(2):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found.append(pool.submit(_timed, what, directory).result())
    return min(found)


def _timed(what: Callable[[Path], object], directory: Path) -> tuple[float, float]:
    for name in ("scoring.privacy", "show.figures", "registry.shards", "estimators.regression"):
        import_module(f"memreg.{name}")
    import_module("statsmodels.stats.proportion")
    start = time.perf_counter()
    what(directory)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(directory: Path, n_train: int) -> None:
    """Shards of members whose margins are normal about each example's own mean, higher with the example."""
    from memreg.design import Subsets
    from memreg.margins import probability, stored
    from memreg.members import Members, Prediction
    from memreg.registry.shards import write_shard

    rng, design, n = np.random.default_rng(0), Subsets(), n_train + N_TEST
    labels = rng.integers(0, CLASSES, n).astype(np.uint8)
    mean, gap = rng.normal(6, 3, n), np.append(rng.exponential(0.5, n_train), np.zeros(N_TEST))
    for first in range(0, MEMBERS, SHARD):
        rows = []
        for m in range(first, first + SHARD):
            included = design.included(m, n_train)
            inside = np.append(included, np.zeros(N_TEST, bool))
            margin = stored(rng.normal(mean + gap * inside, 1.2))
            right = margin > 0
            predicted = np.where(right, labels, (labels + 1) % CLASSES).astype(np.uint8)
            p = probability(margin)
            p_max = np.where(right, p, 1 - p).astype(np.float16)
            rows.append(Prediction(m, m, included, predicted, p_max, 0.0, margin))
        write_shard(directory / f"{first:06d}.arrow", Members.of(rows), "cell", "data")
    np.save(directory / "labels.npy", labels.astype(np.int64))


def shards(directory: Path, *columns: str) -> "list[Members]":
    from memreg.members import COLUMNS
    from memreg.registry.shards import read_shard

    return [read_shard(p, "cell", "data", columns or COLUMNS) for p in sorted(directory.glob("*.arrow"))]


def attack(directory: Path) -> None:
    """What `memreg privacy` does between the registry's look-up and the registry's writing."""
    from memreg.cell import Cell
    from memreg.design import Subsets
    from memreg.estimators.correlation import rank_correlation
    from memreg.estimators.counts import half
    from memreg.estimators.membership import attacked, curves
    from memreg.members import Members
    from memreg.recipe import Recipe
    from memreg.registry.stored_cell import StoredCell
    from memreg.scoring.privacy import margins_of, separations_in_halves, vulnerability
    from memreg.show import figures

    labels = np.load(directory / "labels.npy")

    class OfShards(StoredCell):
        """A complete cell that no registry has."""

        def __init__(self) -> None:
            pass

        @property
        @override
        def tags(self) -> dict[str, str]:
            return {"memreg.cell": "cell", "memreg.status": "complete"}

        @property
        @override
        def metrics(self) -> dict[str, float]:
            return {"members": MEMBERS}

        @cached_property
        @override
        def cell(self) -> Cell:
            recipe = Recipe(model="vgg6")
            return Cell(dataset="none", dataset_fingerprint="data", recipe=recipe, design=Subsets())

        @cached_property
        @override
        def labels_known(self) -> bool:
            return True

        @cached_property
        @override
        def _labelled(self) -> tuple[NDArray[np.int64], int]:
            return labels, len(labels) - N_TEST

        @override
        def shards(self, *columns: str) -> Iterator[Members]:
            return iter(shards(directory, *columns))

    cell = OfShards()
    margins = margins_of(cell)
    known, sums = margins.known, margins.sums
    found = attacked(known)
    drawn = curves(known, found)
    table = vulnerability(cell, known, found, drawn["online"].trials)
    for curve in drawn.values():
        curve.summary()
    second = half(sums.block) == 1
    scores = [sums.part(rows).total.score for rows in (~second, second)]
    agreement = rank_correlation(list(zip(separations_in_halves(known), scores[::-1], strict=True)))
    curves_drawn = figures.attack_curves(drawn, "title")
    points = figures.vulnerability(pd.Series(sums.total.score), table, agreement, "title", {})
    for name, figure in (("a", curves_drawn), ("b", points)):
        figures.save(figure, directory / f"{name}.png")


if __name__ == "__main__":
    main()
