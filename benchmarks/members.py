"""Members per minute, end to end, against the plain loop; and what tracking costs.

    python benchmarks/members.py [--quick]

Both train the same digits cell (a small VGG, no augmentation), in turn, each in a fresh process with a
fresh registry whose tables exist already; timed from after the imports to the last result in MLflow.
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
from functools import wraps
from pathlib import Path

HERE = Path(__file__).parent
MODEL = "vgg3-w16"


def timed_process(arguments: list[str], directory: str) -> tuple[float, float]:
    """(seconds that the program says, seconds of the whole process)."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}
    subprocess.run(
        [sys.executable, "-c", "import mlflow; mlflow.search_experiments()"],
        env=environment,
        cwd=directory,
        check=True,
        capture_output=True,
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    whole = time.perf_counter() - start
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("seconds ")]
    return float(line.split()[1]), whole


def memreg_cell(members: int, epochs: int) -> None:
    """The cell, by memreg, in this process."""
    from memreg.engines import Resources, engine
    from memreg.grid import parse_grid
    from memreg.study import run_study
    from memreg.terminal import Reporter

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
                    "augmentation": 0,
                }
            ],
        },
        "bench",
    )
    start = time.perf_counter()
    with Reporter() as reporter:
        run_study(grid, study="bench", engine=engine("local"), resources=Resources(), reporter=reporter)
    print(f"seconds {time.perf_counter() - start:.2f}")


def grid_share(name: str, members: int | None) -> tuple[float, float]:
    """(seconds of the grid, share of them spent in MLflow and shards)."""
    from memreg.engines import Resources, engine
    from memreg.grid import load_grid
    from memreg.registry import CellWriter, RunWriter, Store
    from memreg.registry.artifacts import Artifacts
    from memreg.study import run_study
    from memreg.terminal import Reporter

    spent, depth = 0.0, 0

    def timed(f):
        @wraps(f)
        def wrapper(*args, **kwargs):
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
        run_study(
            load_grid(name, members),
            study=name,
            engine=engine("local"),
            resources=Resources(),
            reporter=reporter,
        )
    whole = time.perf_counter() - start
    return whole, spent / whole


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cell", nargs=2, type=int, metavar=("MEMBERS", "EPOCHS"), help="internal")
    parser.add_argument("--grid", nargs=2, metavar=("NAME", "MEMBERS"), help="internal")
    arguments = parser.parse_args()
    if arguments.cell:
        memreg_cell(*arguments.cell)
        return
    if arguments.grid:
        seconds, share = grid_share(arguments.grid[0], int(arguments.grid[1]) or None)
        print(f"seconds {seconds:.2f}\nshare {share:.5f}")
        return
    members, epochs, rounds = (10, 30, 1) if arguments.quick else (40, 30, 3)
    ratios, whole_ratios = [], []
    print(f"{MODEL} on digits, {members} members, {epochs} epochs")
    print(f"{'':12} {'seconds':>9} {'members/min':>12} {'whole process':>14}")
    for _ in range(rounds):
        seconds, whole = {}, {}
        for name, command in (
            ("plain loop", [str(HERE / "plain_loop.py"), "--members", str(members), "--epochs", str(epochs)]),
            ("memreg", [__file__, "--cell", str(members), str(epochs)]),
        ):
            with tempfile.TemporaryDirectory() as directory:
                seconds[name], whole[name] = timed_process(command, directory)
            print(f"{name:12} {seconds[name]:9.1f} {60 * members / seconds[name]:12.0f} {whole[name]:14.1f}")
        ratios.append(seconds["plain loop"] / seconds["memreg"])
        whole_ratios.append(whole["plain loop"] / whole["memreg"])
    grid = ("smoke", 10) if arguments.quick else ("digits", 0)
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}
        done = subprocess.run(
            [sys.executable, __file__, "--grid", grid[0], str(grid[1])],
            env=environment,
            cwd=directory,
            check=True,
            capture_output=True,
            text=True,
        )
    said = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("seconds", "share")))
    ratio, share = statistics.median(ratios), float(said["share"])
    print(
        f"\nmemreg over plain loop: {ratio:.2f} times the members per minute "
        f"({statistics.median(whole_ratios):.2f} for whole processes, imports and all)"
    )
    print(f"grid {grid[0]}: {float(said['seconds']):.0f} s, tracking {share:.1%} of them")
    print(
        json.dumps(
            {
                "ratio": round(ratio, 3),
                "ratios": [round(r, 3) for r in ratios],
                "whole_process_ratio": round(statistics.median(whole_ratios), 3),
                "tracking_share": share,
                "grid": grid[0],
                "grid_seconds": float(said["seconds"]),
            }
        )
    )


if __name__ == "__main__":
    main()
