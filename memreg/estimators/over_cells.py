"""How memorization and test accuracy go together over cells (section 5), and what that means."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.estimators.correlation import Noise, Pearson, pearson
from memreg.estimators.counts import Mask
from memreg.estimators.identity import Identity, identity
from memreg.estimators.measured import Measured
from memreg.estimators.statistics import STATISTICS
from memreg.estimators.trajectories import FEWEST as FEWEST_FOR_SHAPES
from memreg.estimators.trajectories import SHAPES, Trajectories, trajectories

CORRELATED = ("gap", *STATISTICS)
EXACT = ("gap", "mean_score")  # what the identity is about, to the letter
FEWEST = 3  # cells of an analysis; r takes more, and says how many

ByStatistic = dict[str, Pearson]


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of every statistic with test accuracy, in every way that says what it means."""

    statistic: str
    """The one that figures and conclusions are about."""
    cells: pd.DataFrame
    """As `Measured.cells`."""
    pooled: ByStatistic
    within: dict[str, ByStatistic]
    """By data set; those with fewer than 3 cells are left out. So in `without` and `families`."""
    without: dict[str, ByStatistic]
    """Pooled, by the data set left out."""
    fixed_effects: ByStatistic
    """Within data sets, all together: each side less its data set's mean. Empty with one data set."""
    families: dict[str, ByStatistic]
    """By model family."""
    given_included: ByStatistic
    """Partial: with included accuracy held fixed."""
    identities: dict[str, Identity]
    """By statistic, of those that are made of memorization scores."""
    trajectories: dict[str, Trajectories]
    """How examples' scores move along test accuracy, by data set."""

    @property
    def pooled_only(self) -> list[str]:
        """Statistics whose pooled r has another sign than within data sets."""
        return [key for key, r in self.fixed_effects.items() if r.r * self.pooled[key].r < 0]

    def to_json(self) -> str:
        """correlation.json: numbers that do not exist are null."""
        keys = "statistic pooled within without fixed_effects families given_included identities"
        content: dict[str, Any] = {"x": "test_accuracy", "pooled_only": self.pooled_only}
        content |= {key: _plain(getattr(self, key)) for key in keys.split()}
        content["trajectories"] = {name: _summary(moving) for name, moving in self.trajectories.items()}
        content["cells"] = self.cells.to_dict("records")
        return json.dumps(_finite(content), indent=1)


def correlations(measured: Measured, statistic: str) -> Correlation:
    """All correlations of what was measured. statistic: one of `measured.correlated`."""
    datasets, families = (measured.cells[key].to_numpy() for key in ("dataset", "family"))
    several = len(set(datasets)) > 1
    shared = np.array([(datasets == name).sum() > 1 for name in datasets])
    test, included = measured.values("test_accuracy"), measured.values("included_accuracy")
    return Correlation(
        statistic,
        measured.cells,
        _all(measured, np.ones(len(datasets), bool)),
        _by(measured, datasets, lambda name: datasets == name),
        _by(measured, datasets, lambda name: datasets != name) if several else {},
        _all(measured, shared, groups=datasets) if several and shared.any() else {},
        _by(measured, families, lambda name: families == name),
        _all(measured, np.ones(len(datasets), bool), given="included_accuracy"),
        {
            key: identity(test, measured.values(key), included, key in EXACT, threshold_of(key))
            for key in CORRELATED
        },
        _trajectories(measured, datasets),
    )


def threshold_of(statistic: str) -> float:
    """Give the threshold of a share of examples; 1 for a statistic that is none."""
    return float(statistic.partition("/")[2] or 1)


def _all(
    measured: Measured, mask: Mask, groups: NDArray[Any] | None = None, given: str | None = None
) -> ByStatistic:
    """Every statistic over the masked cells; without groups, also as other data sets would have it."""
    number = None if groups is None else np.unique(groups[mask], return_inverse=True)[1]
    datasets = np.unique(measured.cells["dataset"][mask], return_inverse=True)[1]
    clusters = datasets if groups is None and given is None else None
    x, blocks = measured.values("test_accuracy")[mask], measured.blocks[mask]
    fixed = None if given is None else measured.values(given)[mask]
    others = [] if given is None else [given]
    return {
        key: pearson(
            x,
            measured.values(key)[mask],
            number,
            fixed,
            Noise(measured.noise_of("test_accuracy", key, *others)[mask], blocks),
            clusters,
        )
        for key in measured.correlated
    }


def _by(measured: Measured, names: NDArray[Any], mask: Any) -> dict[str, ByStatistic]:
    return {
        str(name): _all(measured, mask(name)) for name in dict.fromkeys(names) if mask(name).sum() >= FEWEST
    }


def _trajectories(measured: Measured, datasets: NDArray[Any]) -> dict[str, Trajectories]:
    scored = np.array([not np.isnan(scores[0]).all() for scores in measured.scores])
    accuracy = measured.values("test_accuracy")
    cells = {str(name): np.flatnonzero(scored & (datasets == name)) for name in dict.fromkeys(datasets)}
    return {
        name: trajectories(accuracy[chosen], np.stack([measured.scores[i] for i in chosen], 1))
        for name, chosen in cells.items()
        if len(chosen) >= FEWEST_FOR_SHAPES
    }


def _summary(moving: Trajectories) -> dict[str, Any]:
    s = moving.shares
    found = {name: {"share": s.share[i], "low": s.low[i], "high": s.high[i]} for i, name in enumerate(SHAPES)}
    return {
        "examples": s.examples,
        "cells": s.cells,
        "between_over_noise": moving.between_over_noise,
        **found,
    }


def shapes_table(trajectories: dict[str, Trajectories]) -> pd.DataFrame:
    """A row per example: `dataset`, `example`, `shape`."""
    names = np.array([*SHAPES, "none"])
    tables = [
        pd.DataFrame({"dataset": name, "example": np.arange(len(t.shape)), "shape": names[t.shape]})
        for name, t in trajectories.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, at any depth of dictionaries."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return {key: _plain(v) for key, v in value.items()} if isinstance(value, dict) else value


def _finite(value: Any) -> Any:
    """JSON has no NaN: null instead."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
