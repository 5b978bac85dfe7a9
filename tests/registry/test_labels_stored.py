"""Whatever labels people have, what is stored is what was learned: it gives the logged accuracies."""

import numpy as np
import pandas as pd
from brought import npz
from studies import run

from memreg.grid import parse_grid
from memreg.registry import Registry

BASE = np.arange(24) % 3
LABELS = {
    "plain": BASE,
    "from one": BASE + 1,
    "gaps": BASE * 7,
    "ids": BASE * 50_000 + 20_000,
    "a column": BASE[:, None],
    "int8": BASE.astype(np.int8),
    "uint64": BASE.astype(np.uint64) + np.uint64(2**63),
    "names": np.array(["ant", "bee", "cat"])[BASE],
    "a class in the test set alone": np.where(np.arange(24) < 18, BASE % 2, 2),
}


def test_predictions_give_the_logged_accuracies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [npz(tmp_path / f"{i}.npz", labels[:18], labels[18:]) for i, labels in enumerate(LABELS.values())]
    names.append(f"{names[3]}+noise=0.3+classes=120000.20000".replace("+noise=0.3", "") + "+noise=0.3")
    recipe = {"model": "vgg3-w4", "epochs": 6, "batch_size": 6, "learning_rate": 0.2, "r": 0.5}
    grid = parse_grid({"name": "g", "members": 3, "cells": [{"dataset": n, **recipe} for n in names]}, "g")
    run(grid, tmp_path, "labels")
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db")
    cells = registry.cells("labels")
    assert len(cells) == len(names)
    for given, row in zip([*LABELS.values(), None], cells.itertuples(), strict=True):
        examples = registry.cell(row.cell).examples
        stored = registry.predictions(row.cell)
        right = stored.correct(examples["label"].to_numpy())
        n = stored.n_train
        logged = registry.cell(row.cell).series("member/test_accuracy")
        included = registry.cell(row.cell).series("member/included_accuracy")
        for m in range(3):
            assert right[m, n:].mean() == logged[m]
            assert right[m, :n][stored.included[m]].mean() == included[m]
        called = examples["source_label"] if "source_label" in examples else examples["label"].astype(str)
        if given is not None:
            assert called.tolist() == [str(v) for v in np.reshape(given, -1)]
            by_name = pd.Series(called.to_numpy(), index=examples["label"]).groupby(level=0).first()
            predicted = [[by_name.get(c) for c in member] for member in stored.predicted.tolist()]
            assert ((np.array(predicted) == called.to_numpy()) == right).all()
        else:
            assert set(called) == {"20000", "120000"}
