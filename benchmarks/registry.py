"""Reading a registry of 20,000 cells: `Registry.cells()` against `mlflow.search_runs`.

    python benchmarks/registry.py [--quick]

20,000 complete cells with 10 params, 20 metrics and 10 tags each are put into a SQLite store. Then both read
them all into a frame, in turn, each in a fresh process, timed from after the imports and the first
contact with the store; the frames are compared. Memory is the peak of the whole process, imports and all.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

RUNS = 20_000
PARAMS = (
    *("dataset", "model", "epochs", "batch_size", "learning_rate"),
    *("weight_decay", "augmentation", "design", "r", "parameters"),
)
METRICS = (
    *("members", "test_accuracy", "included_accuracy", "excluded_accuracy", "mean_score"),
    *(f"memorized_fraction/{t / 100:.2f}" for t in range(5, 80, 5)),
)


def fill(uri: str, runs: int) -> None:
    """Put runs straight into MLflow's tables: through its API they would take half an hour."""
    import random

    import sqlalchemy as sa
    from mlflow import MlflowClient
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag

    from memreg.registry.frames import METRICS as METRICS_TAG
    from memreg.registry.frames import METRICS_SCHEMA

    experiment = int(MlflowClient(uri).create_experiment("memreg"))
    rng = random.Random(0)
    ids = [f"{rng.getrandbits(128):032x}" for _ in range(runs)]

    def param(key: str, i: int) -> str:
        text = {"dataset": "digits", "model": f"vgg3-w{2 ** (i % 6)}", "design": "subsets"}
        return text.get(key) or str(i % 97 / 100)

    def tags(i: int) -> dict[str, str]:
        return {
            "memreg.kind": "cell",
            "memreg.status": "complete",
            METRICS_TAG: METRICS_SCHEMA,
            "memreg.study": f"study {i // 19}",
            "memreg.cell": f"{i:064x}",
            "memreg.dataset_fingerprint": "f" * 64,
            "mlflow.parentRunId": ids[i - i % 19],
            "mlflow.user": "someone",
            "mlflow.source.git.commit": "c" * 40,
            "mlflow.runName": f"run {i}",
        }

    metrics = [
        {"run_uuid": run, "key": key, "value": rng.random(), "timestamp": 1, "step": 0, "is_nan": False}
        for run in ids
        for key in METRICS
    ]
    tables: dict[type, Iterable[dict[str, object]]] = {
        SqlRun: (
            {
                "run_uuid": run,
                "name": f"run {i}",
                "source_type": "LOCAL",
                "user_id": "someone",
                "status": "FINISHED",
                "start_time": 1_700_000_000_000 + i,
                "end_time": 1_700_000_001_000 + i,
                "lifecycle_stage": "active",
                "artifact_uri": f"/artifacts/{run}",
                "experiment_id": experiment,
            }
            for i, run in enumerate(ids)
        ),
        SqlParam: (
            {"run_uuid": run, "key": key, "value": param(key, i)}
            for i, run in enumerate(ids)
            for key in PARAMS
        ),
        SqlTag: (
            {"run_uuid": run, "key": key, "value": value}
            for i, run in enumerate(ids)
            for key, value in tags(i).items()
        ),
        SqlLatestMetric: metrics,
        SqlMetric: metrics,
    }
    with sa.create_engine(uri).begin() as connection:
        for model, rows in tables.items():
            connection.execute(sa.insert(model), list(rows))


def read(how: str, uri: str, path: str) -> None:
    """One reading in this process; its frame goes to `path`."""
    if how == "memreg":
        import memreg

        registry = memreg.Registry(uri)
        start = time.perf_counter()
        table = registry.cells()
    else:
        import mlflow

        mlflow.set_tracking_uri(uri)
        mlflow.search_experiments()
        start = time.perf_counter()
        table = mlflow.search_runs(experiment_names=["memreg"], max_results=100_000)
    seconds = time.perf_counter() - start
    print(f"seconds {seconds}\nrss {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}")
    table.to_parquet(path)


def same(ours: Path, theirs: Path) -> bool:
    """Whether both frames hold the same params and metrics of the same runs."""
    import pandas as pd

    a, b = (pd.read_parquet(path).set_index("run_id").sort_index() for path in (ours, theirs))
    if not a.index.equals(b.index) or len(a) == 0:
        return False
    return all((a[key].astype(float) == b[f"metrics.{key}"]).all() for key in METRICS) and all(
        (a[key].astype(b[f"params.{key}"].dtype) == b[f"params.{key}"]).all()
        if key in ("dataset", "model", "design")
        else (a[key] == b[f"params.{key}"].astype(float)).all()
        for key in PARAMS
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    parser.add_argument("--read", nargs=3, metavar=("HOW", "URI", "PATH"), help="internal")
    parser.add_argument("--fill", metavar="URI", help="internal")
    arguments = parser.parse_args()
    if arguments.fill:
        fill(arguments.fill, RUNS)
        return
    if arguments.read:
        read(*arguments.read)
        return
    found: dict[str, list[dict[str, float]]] = {"memreg": [], "mlflow.search_runs": []}
    with tempfile.TemporaryDirectory() as directory:
        uri = f"sqlite:///{directory}/mlflow.db"
        # In a process of its own: on Linux a child's peak memory begins with its parent's.
        subprocess.run([sys.executable, __file__, "--fill", uri], check=True, capture_output=True)
        print(f"{RUNS:,} runs x {len(PARAMS)} params, {len(METRICS)} metrics, 10 tags; SQLite\n")
        print(f"{'':20} {'seconds':>8} {'peak MB':>8}")
        for _ in range(1 if arguments.quick else 3):
            for how, results in found.items():
                path = f"{directory}/{how}.parquet"
                command = [sys.executable, __file__, "--read", how, uri, path]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                results.append({k: float(v) for k, v in (line.split() for line in said.splitlines())})
                print(f"{how:20} {results[-1]['seconds']:8.2f} {results[-1]['rss']:8.0f}")
        equal = same(*(Path(directory) / f"{how}.parquet" for how in found))
    ours, theirs = found.values()
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=True))
    rss = max(a["rss"] for a in ours)
    print(f"\n{ratio:.0f} times as fast, {rss:.0f} MB at most; the same values: {'yes' if equal else 'NO'}")
    print(json.dumps({"ratio": round(ratio, 2), "rss_mb": round(rss, 1), "equal": equal}))


if __name__ == "__main__":
    main()
