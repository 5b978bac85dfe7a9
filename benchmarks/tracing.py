"""What a trace costs: time of training with and without one, and bytes of each quantity.

    python benchmarks/tracing.py [--members 20]

Members of the default grid's recipe on digits, and of the shipped CIFAR-10 grid's on 2,000 images, are
trained on everything with 20 checkpoints and without, in turns, by one thread each. Then one member is traced
on all 50,000 images of CIFAR-10, for one epoch, and its trace is written. Ratios are of sums of times.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from memreg.data import load
from memreg.data.dataset import Dataset
from memreg.recipe import Recipe
from memreg.registry.traces import write_trace
from memreg.tracing import Tracing
from memreg.training import Setting, train_member

DIGITS = {"epochs": 30, "batch_size": 128, "learning_rate": 0.2, "weight_decay": 5e-4}
CIFAR = {"epochs": 30, "batch_size": 64, "learning_rate": 0.1, "weight_decay": 5e-4}
CASES = (
    ("digits", {"model": "vgg3-w8", **DIGITS}),
    ("digits", {"model": "resnet8-w8", **DIGITS}),
    ("cifar10+subset=2000", {"model": "vgg6-w16", **CIFAR}),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=20)
    members = parser.parse_args().members
    torch.set_num_threads(1)
    data_dir = Path(os.environ.get("MEMREG_DATA_DIR", "data"))
    found = {}
    for name, fields in CASES:
        recipe = Recipe.model_validate(fields)
        found[f"{recipe.model} on {name}"] = _time(load(name, data_dir), recipe, members)
    print(json.dumps(found | _sizes(load("cifar10", data_dir))))


def _time(dataset: Dataset, recipe: Recipe, members: int) -> float:
    everything = np.ones(dataset.n_train, bool)
    seconds = {True: 0.0, False: 0.0}
    counted = 0.0
    train_member(recipe, dataset, everything, 0)
    for seed in range(members):
        for traced in (False, True) if seed % 2 else (True, False):
            setting = Setting(tracing=Tracing(1) if traced else None)
            start = time.perf_counter()
            found = train_member(recipe, dataset, everything, seed, setting=setting)
            seconds[traced] += time.perf_counter() - start
            if found.trace is not None:
                counted = float(found.trace.costs["fit"][0])
    ratio = seconds[True] / seconds[False] - 1
    each = seconds[False] / members
    print(f"{recipe.model} on {dataset.name}, {members} members: {each:.2f} s each")
    print(f"  with a trace {ratio:+.1%}; counted in passes {counted:+.1%}")
    return ratio


def _sizes(dataset: Dataset) -> dict[str, float]:
    recipe = Recipe(model="vgg6-w16", epochs=1, batch_size=64, learning_rate=0.1)
    everything = np.ones(dataset.n_train, bool)
    setting = Setting(tracing=Tracing.by(1, 20, "gradient_norm"))
    trace = train_member(recipe, dataset, everything, 0, setting=setting).trace
    assert trace is not None
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trace.arrow"
        write_trace(path, trace, {}, "0" * 64, dataset.fingerprint)
        whole = path.stat().st_size / 1e6
    print(f"{dataset.n_train:,} examples, {len(trace.steps)} checkpoints: {whole:.1f} MB")
    sizes = {name: _size(values) for name, values in trace.quantities.items()}
    for name, size in sizes.items():
        print(f"  {name:14} {size:.2f} MB")
    return sizes


def _size(values: np.ndarray) -> float:
    """MB of a quantity by itself, as files have it."""
    column = pa.table({"values": values.reshape(-1)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, column.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(column)
    return float(sink.getvalue().size) / 1e6


if __name__ == "__main__":
    main()
