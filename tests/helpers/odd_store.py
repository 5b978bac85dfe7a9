"""A tracking store full of what MLflow allows and memreg would never write."""

import math
import random

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from packaging.version import Version

METRICS = {
    "nan": math.nan,
    "infinite": math.inf,
    "minus_infinite": -math.inf,
    "tiny": 5e-324,
    "huge": 1.5e308,
    "minus_zero": -0.0,
    "memorized_fraction/0.25": 1 / 3,
    "a name with spaces": 2.0**53 + 2,
}
PARAMS = {
    "dataset": "digits+noise=0.2",
    "model": "007",
    "weight_decay": "5e-4",
    "epochs": "30",
    "empty": "",
    "quoted": 'it\'s "100 %"; DROP TABLE runs; --',
    "unicode": "Größe \U0001f600\n\ttab",
    "nan_text": "nan",
    "truth": "True",
    "long": "x" * 5000,
    "big": "123456789012345678901234567890",
    "tiny": "a param with a metric's name",
    "cell": "a param with a tag's name",
    "": "no name",
}
FILTERS = (
    "",
    "params.weight_decay = '5e-4'",
    "metrics.infinite > 1e300",
    "metrics.nan > -1",
    "metrics.tiny < 1 and params.epochs != '30'",
    "tags.`memreg.study` LIKE 's%' and attributes.status = 'FINISHED'",
    "params.quoted ILIKE '%drop table%'",
    "dataset.name = 'digits' and params.weight_decay = '5e-4'",
    "attributes.run_name = 'run 3'",
    *(["params.unicode IS NULL"] if Version(mlflow.__version__) >= Version("3.11") else []),
    "metrics.no_such = 1",
)


def fill(client: MlflowClient, runs: int = 40) -> list[str]:
    """Fill a store; its runs' ids."""
    rng = random.Random(0)
    experiments = [client.create_experiment(name) for name in ("memreg", "other", "dropped")]
    ids = []
    for i in range(runs):
        tags = {
            "memreg.kind": rng.choice(["cell", "cell", "cell", "study", "analysis"]),
            "memreg.study": f"s{i % 3}",
            "memreg.cell": f"{i:064x}",
            "memreg.status": rng.choice(["complete", "complete", "training"]),
            "mlflow.note.content": "## Größe",
        }
        if i % 11 == 10:
            tags = {"someone": "else's"}
        if i % 13 == 12:
            del tags["memreg.cell"]
        start = 1_700_000_000_000 + i // 3  # ties
        experiment = experiments[i % 3 if i % 7 else 0]
        run = client.create_run(experiment, start, tags, f"run {i}")
        ids.append(run.info.run_id)
        keys = [key for key in PARAMS if key and rng.random() < 0.7]
        params = [Param(k, PARAMS[k] if rng.random() < 0.8 else str(rng.randrange(99))) for k in keys]
        keys = [key for key in METRICS if rng.random() < 0.7]
        metrics = [Metric(key, METRICS[key], start, step) for key in keys for step in (0, 2, 1)]
        client.log_batch(run.info.run_id, metrics, params, [RunTag("late", "")] if i % 5 else [])
        if i % 3:
            names = ["digits", "twice"] if i % 2 else ["other"]
            inputs = [DatasetInput(Dataset(name, "0", "local", "{}")) for name in names]
            client.log_inputs(run.info.run_id, inputs)
        client.set_terminated(run.info.run_id, rng.choice(["FINISHED", "FAILED", "KILLED"]))
        if i % 9 == 8:
            client.delete_run(run.info.run_id)
    client.delete_experiment(experiments[2])
    return ids
