"""Section 5: how memorization and test accuracy go together over the cells of a study."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import figures
from memreg.analyses.tallies import COLUMNS, tally_shards
from memreg.errors import MemregError
from memreg.estimators.bootstrap import interval, replicates
from memreg.estimators.correlation import Pearson, pearson
from memreg.estimators.counts import Floats
from memreg.estimators.summary import STATISTICS, summarise
from memreg.registry import Registry, RunWriter
from memreg.registry.reader import labels

HEADLINES = ("memorized_fraction/0.25", "mean_score")


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of every statistic with test accuracy, pooled and within each data set."""

    cells: pd.DataFrame
    """A row per cell: `run_id`, `cell`, `dataset`, `model`, `members`, then each statistic and
    `test_accuracy` with `_low` and `_high` (95 %, member bootstrap)."""
    pooled: dict[str, Pearson]
    within: dict[str, dict[str, Pearson]]
    """By data set, then by statistic; data sets with fewer than 3 cells are left out."""

    def to_json(self) -> str:
        content: dict[str, Any] = {
            "x": "test_accuracy",
            "pooled": {key: dataclasses.asdict(r) for key, r in self.pooled.items()},
            "within": {
                name: {key: dataclasses.asdict(r) for key, r in rs.items()}
                for name, rs in self.within.items()
            },
            "cells": self.cells.to_dict("records"),
        }
        return json.dumps(_finite(content), indent=1)


def correlate(registry: Registry, study: str) -> Correlation:
    """Recompute a study's correlation from its stored predictions. `gap` is included - excluded accuracy,
    which the mean score equals when counts are equal: the r beside which the others must be read."""
    table = registry.cells(study)
    rows, reps, blocks = [], [], []
    for run_id, hash_, dataset, model in table[["run_id", "cell", "dataset", "model"]].itertuples(
        index=False
    ):
        examples = registry.examples(run_id)
        design = registry.cell(run_id).design
        sums = tally_shards(registry.shards(run_id, COLUMNS), labels(examples), design.block)
        metrics = summarise(sums)
        metrics["gap"] = metrics["included_accuracy"] - metrics["excluded_accuracy"]
        resampled = replicates(sums)
        blocks.append(len(sums.block))
        row: dict[str, Any] = {"run_id": run_id, "cell": hash_, "dataset": dataset, "model": model}
        row["members"] = metrics["members"]
        for key in ("test_accuracy", "gap", *STATISTICS):
            low, high = interval(metrics[key], resampled[key], blocks[-1])
            row |= {key: metrics[key], f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
        reps.append(resampled)
    cells = pd.DataFrame(rows)
    if cells["mean_score"].notna().sum() < 3:
        raise MemregError(
            f"study {study} has {cells['mean_score'].notna().sum()} cells with scores: "
            "a correlation needs at least 3"
        )
    everything = np.ones(len(cells), bool)
    return Correlation(
        cells,
        _all_statistics(cells, reps, min(blocks), everything),
        {
            name: _all_statistics(cells, reps, min(blocks), mask)
            for name in dict.fromkeys(cells["dataset"])
            if (mask := (cells["dataset"] == name).to_numpy()).sum() >= 3
        },
    )


def log_correlation(run: RunWriter, result: Correlation) -> None:
    """The contract's metrics, correlation.json and figures/correlation.png."""
    metrics: dict[str, float] = {}
    for key in HEADLINES:
        r, name = result.pooled[key], "pearson/" + key.replace("/", "_")
        metrics |= {name: r.r, f"{name}_low": r.low, f"{name}_high": r.high}
    run.log(metrics=metrics)
    text = result.to_json()
    run.artifacts.put("correlation.json", lambda path: path.write_text(text))
    figure = figures.correlation(result.cells, HEADLINES[0], result.pooled[HEADLINES[0]])
    run.artifacts.put("figures/correlation.png", lambda path: figures.save(figure, path))


def in_words(result: Correlation) -> str:
    """The headline and what it must be read beside, in Markdown sentences."""
    fraction, score, gap = (result.pooled[k] for k in (*HEADLINES, "gap"))
    within = "; ".join(
        f"{name} {rs[HEADLINES[0]].r:.3f} (n = {rs[HEADLINES[0]].n})" for name, rs in result.within.items()
    )
    return (
        f"Memorized fraction (score >= 0.25) against test accuracy over {fraction.n} cells: Pearson "
        f"r = {fraction.r:.3f}, 95 % interval [{fraction.low:.3f}, {fraction.high:.3f}] (other cells), "
        f"[{fraction.member_low:.3f}, {fraction.member_high:.3f}] (same cells trained again). "
        f"Within each data set: {within or 'no data set has 3 cells'}. "
        f"Mean score: r = {score.r:.3f}; included minus excluded accuracy, which the mean score "
        f"equals by arithmetic when counts are equal: r = {gap.r:.3f}."
    )


def _all_statistics(
    cells: pd.DataFrame, reps: list[dict[str, Floats]], blocks: int, mask: NDArray[np.bool_]
) -> dict[str, Pearson]:
    chosen = [rep for rep, keep in zip(reps, mask, strict=True) if keep]

    def side(key: str) -> tuple[Floats, Floats]:
        return cells.loc[mask, key].to_numpy(float), np.stack([rep[key] for rep in chosen], 1)

    x, x_reps = side("test_accuracy")
    result = {}
    for key in ("gap", *STATISTICS):
        y, y_reps = side(key)
        result[key] = pearson(x, y, x_reps, y_reps, blocks)
    return result


def _finite(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
