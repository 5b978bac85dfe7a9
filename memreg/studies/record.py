"""What is written to a cell's run: by `describe` before its first member, by `finish` once it is complete."""

import json
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.design import CHOSEN
from memreg.errors import TakenError
from memreg.estimators.scores import score_table
from memreg.estimators.statistics import OF_LEFT_OUT, OF_PRIVACY, OF_QUERIES
from memreg.estimators.summary import summarise
from memreg.members import Members, tallied
from memreg.registry import CellWriter
from memreg.registry.frames import METRICS, METRICS_SCHEMA
from memreg.registry.shards import read_shards
from memreg.registry.stored_cell import COUNTED, LABEL_KNOWN, NO_LABEL
from memreg.show import figures, notes

SERIES = ("member/test_accuracy", "member/included_accuracy", "member/train_seconds")


def describe(writer: CellWriter, examples: pd.DataFrame, parameters: int | None) -> None:
    """Params, data set, examples.parquet and cell.json, unless they are there already.

    examples: as examples.parquet; parameters: of the model, where known.
    """
    if "cell.json" in writer.artifacts.names("", ".json"):
        return
    cell = writer.cell
    counted = {} if parameters is None else {"parameters": parameters}
    writer.log(params={**cell.params(), **counted})
    sizes = examples["split"].value_counts()
    profile = {"n_train": int(sizes["train"]), "n_test": int(sizes.get("test", 0))}
    writer.log_dataset(cell.dataset, cell.dataset_fingerprint, json.dumps(profile))
    writer.artifacts.put("examples.parquet", examples.to_parquet)
    writer.artifacts.put("cell.json", lambda path: path.write_text(cell.canonical_json()))


def finish(writer: CellWriter, examples: pd.DataFrame, parameters: int | None) -> dict[str, float]:
    """Scores and aggregates from the stored shards, then the tag that makes the cell visible.

    examples: as examples.parquet. Returns the metrics.
    """
    cell, labels = writer.cell, examples["label"].to_numpy(np.int64)
    _complete_series(writer, labels)
    members = set[int]()

    def shards() -> Iterator[Members]:
        for shard in read_shards(writer.artifacts, cell.hash, cell.dataset_fingerprint, COUNTED):
            members.update(shard.member.tolist())
            yield shard

    sums = tallied(shards(), labels)
    if members != writer.members:
        raise TakenError(
            f"cell {cell.hash[:12]}: another driver has stored members of it too: run the same command again "
            "to go on"
        )
    known = LABEL_KNOWN not in examples or bool(examples[LABEL_KNOWN].all())
    table = score_table(sums.total, labels if known else np.full_like(labels, NO_LABEL))
    writer.artifacts.put("scores.parquet", table.to_parquet)
    if table["score"].notna().any():
        figure = figures.score_distribution(table, f"{cell.recipe.model} on {cell.dataset}")
        writer.artifacts.put("figures/scores.png", partial(figures.save, figure))
    metrics = summarise(sums, chosen=cell.design.kind in CHOSEN)
    metrics["diverged"] = len(writer.members) - metrics["members"]
    if seconds := writer.logged("member/train_seconds"):
        metrics["train_seconds"] = sum(seconds.values())
    if cell.design.kind in CHOSEN:
        writer.withdraw(lambda key: key.startswith(OF_LEFT_OUT))  # earlier versions had these
    if writer.counted() != len(writer.members):
        writer.withdraw(lambda key: key.startswith((OF_PRIVACY, OF_QUERIES)))  # it was of fewer members
    writer.end("FINISHED")  # first: a cell that is complete is not looked at again
    writer.log(
        metrics=metrics,
        tags={"memreg.status": "complete", METRICS: METRICS_SCHEMA},
        note=notes.cell(cell, parameters, metrics),
    )
    writer.complete = True
    return metrics


def _complete_series(writer: CellWriter, labels: NDArray[np.int64]) -> None:
    """Log what a kill between a shard and its metrics left unlogged."""
    unlogged = writer.members - writer.logged(SERIES[1]).keys()
    if not unlogged:
        return
    cell = writer.cell
    for shard in read_shards(writer.artifacts, cell.hash, cell.dataset_fingerprint):
        correct, n_train = shard.correct(labels), shard.n_train
        test = correct[:, n_train:].sum(1) / (correct[:, n_train:].shape[1] or np.nan)
        included = (correct[:, :n_train] & shard.included).sum(1) / shard.included.sum(1)
        for name, values in zip(SERIES, (test, included), strict=False):
            pairs = zip(shard.member.tolist(), values.tolist(), strict=True)
            writer.log_series({name: [(m, v) for m, v in pairs if m in unlogged]})
