"""Members per minute, end to end, against the plain loop; and what tracking costs.

    python benchmarks/members.py [--quick]

Both train the same digits cell (a small VGG with weight decay, with augmentation as in the default grid and
without), in turn, each in a fresh process with a fresh registry whose tables exist already; timed from
after the imports to the last result in MLflow.
Then the digits grid is run, and the time that its driver spends in MLflow and in shards is summed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODEL = "vgg3-w8"


def program(arguments: list[str], directory: str) -> dict[str, float]:
    """Run Python with a registry in `directory`; the `seconds` and `share` that it prints."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    words = [line.split() for line in done.stdout.splitlines()]
    return {w[0]: float(w[1]) for w in words if len(w) == 2 and w[0] in ("seconds", "share")}


def memreg_cell(members: int, epochs: int, augment: int) -> None:
    """The cell, by memreg, in this process."""
    from memreg.engines import Resources, engine
    from memreg.grid import parse_grid
    from memreg.questions import corr_grid
    from memreg.show.terminal import Reporter
    from memreg.studies.study import Where

    grid = parse_grid(
        {
            "name": "bench",
            "members": members,
            "cells": [
                {
                    "dataset": "digits",
                    "model": MODEL,
                    "epochs": epochs,
                    "batch_size": 128,
                    "learning_rate": 0.2,
                    "weight_decay": 5e-4,
                    "augmentation": augment,
                }
            ],
        },
        "bench",
    )
    start = time.perf_counter()
    with Reporter() as reporter:
        corr_grid.run_grid(grid, "bench", Where(engine("local", Resources())), reporter)
    print(f"seconds {time.perf_counter() - start:.2f}")


def grid_share(name: str, members: int | None) -> tuple[float, float]:
    """(seconds of the grid, share of them spent in MLflow and shards)."""
    from memreg.engines import Resources, engine
    from memreg.grid import load_grid
    from memreg.questions import corr_grid
    from memreg.registry import CellWriter, RunWriter, Store
    from memreg.registry.artifacts import Artifacts
    from memreg.show.terminal import Reporter
    from memreg.studies.study import Where

    spent, depth = 0.0, 0

    def timed(f: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent, depth
            depth += 1
            start = time.perf_counter()
            try:
                return f(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:
                    spent += time.perf_counter() - start

        return wrapper

    for kind in (Store, RunWriter, CellWriter, Artifacts):
        for key, value in list(vars(kind).items()):
            if callable(value) and (not key.startswith("_") or key == "__init__"):
                setattr(kind, key, timed(value))
    start = time.perf_counter()
    with Reporter() as reporter:
        corr_grid.run_grid(load_grid(name, members), name, Where(engine("local", Resources())), reporter)
    whole = time.perf_counter() - start
    return whole, spent / whole


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--cell", nargs=3, type=int, metavar=("MEMBERS", "EPOCHS", "AUGMENT"), help="internal"
    )
    parser.add_argument("--grid", nargs=2, metavar=("NAME", "MEMBERS"), help="internal")
    arguments = parser.parse_args()
    if arguments.cell:
        memreg_cell(*arguments.cell)
        return
    if arguments.grid:
        seconds, share = grid_share(arguments.grid[0], int(arguments.grid[1]) or None)
        print(f"seconds {seconds:.2f}\nshare {share:.5f}")
        return
    members, epochs, rounds = (10, 30, 1) if arguments.quick else (40, 30, 2)
    print(f"{MODEL} on digits, {members} members, {epochs} epochs, {rounds} rounds")
    print(f"{'':30} {'seconds':>9} {'members/min':>12} {'whole process':>14}")
    results = {}
    for augment in (1, 0):
        pairs = [compare(members, epochs, augment) for _ in range(rounds)]
        results[augment] = [statistics.median(ratio) for ratio in zip(*pairs, strict=True)]
    grid = ("smoke", 10) if arguments.quick else ("digits", 0)
    with tempfile.TemporaryDirectory() as directory:
        said = program([__file__, "--grid", grid[0], str(grid[1])], directory)
    print(
        f"\nmemreg over plain loop, members per minute: {results[1][0]:.2f} times with augmentation, "
        f"{results[0][0]:.2f} without (whole processes, imports and all: {results[1][1]:.2f} and "
        f"{results[0][1]:.2f})"
    )
    print(f"grid {grid[0]}: {said['seconds']:.0f} s, tracking {said['share']:.1%} of them")
    figures = {
        "ratio": results[1][0],
        "ratio_without_augmentation": results[0][0],
        "whole_process_ratio": results[1][1],
        "tracking_share": said["share"],
        "grid_seconds": said["seconds"],
    }
    print(json.dumps({key: round(value, 4) for key, value in figures.items()} | {"grid": grid[0]}))


def compare(members: int, epochs: int, augment: int) -> tuple[float, float]:
    """Ratios plain loop / memreg: of what each times itself, and of whole processes."""
    plain = [
        str(HERE / "plain_loop.py"),
        "--model",
        MODEL,
        "--members",
        str(members),
        "--epochs",
        str(epochs),
    ]
    commands = {
        "plain loop": plain + ["--augment"] * augment,
        "memreg": [__file__, "--cell", str(members), str(epochs), str(augment)],
    }
    seconds, whole = {}, {}
    for name, command in commands.items():
        with tempfile.TemporaryDirectory() as directory:
            program(["-c", "import mlflow; mlflow.search_experiments()"], directory)
            start = time.perf_counter()
            seconds[name] = program(command, directory)["seconds"]
            whole[name] = time.perf_counter() - start
        label = f"{name}, {'with' if augment else 'no'} augmentation"
        print(f"{label:30} {seconds[name]:9.1f} {60 * members / seconds[name]:12.0f} {whole[name]:14.1f}")
    return seconds["plain loop"] / seconds["memreg"], whole["plain loop"] / whole["memreg"]


if __name__ == "__main__":
    main()
