"""What the stored members of several cells say: values, their noise, and scores by halves of the members."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.estimators import mixture
from memreg.estimators.bootstrap import (
    covariance,
    interval,
    jackknife_covariance,
    jackknife_interval,
    replicates,
    without_each_block,
)
from memreg.estimators.counts import Counts, Floats, Tally
from memreg.estimators.statistics import STATISTICS, fraction_key
from memreg.estimators.summary import summarise
from memreg.estimators.threshold import THRESHOLDS

KEYS = ("test_accuracy", "included_accuracy", "gap", *STATISTICS)
JACKKNIFED = ("test_accuracy", "included_accuracy")
"""Of KEYS, those whose noise is known together with that of an `Extra`."""
SIGNED = ("gap", "mean_score")  # between -1 and 1; all others are shares


@dataclass(frozen=True, eq=False)
class Extra:
    """A statistic of a cell that its tally does not have."""

    value: float
    without: Floats
    """Without each of the tally's blocks, [b]; empty where that cannot be had."""


@dataclass(frozen=True)
class Measured:
    """Everything about cells that correlations are made of."""

    cells: pd.DataFrame
    """A row per cell: `run_id`, `cell`, `dataset`, `model`, `family`, `members`, then each of KEYS with
    `_low` and `_high` (95 %: of the true share for memorized fractions, over members for all others)."""
    noise: Floats
    """[cells, keys, keys]: covariance of what finite members leave in the values of KEYS and `extra`; between
    an extra and others than JACKKNIFED it is not known, and NaN."""
    blocks: NDArray[np.int64]
    """[cells]: independent blocks of members."""
    scores: list[Floats]
    """For each cell [3, n_train]: scores from all members, and from two halves of them (every other
    block)."""
    extra: tuple[str, ...] = ()
    """Names of statistics beyond KEYS, which are last in `noise`."""

    @property
    def correlated(self) -> tuple[str, ...]:
        """What is correlated with test accuracy."""
        return ("gap", *STATISTICS, *self.extra)

    def values(self, key: str) -> Floats:
        """[cells]"""
        return self.cells[key].to_numpy(float)

    def noise_of(self, *keys: str) -> Floats:
        """[cells, keys, keys]"""
        index = [(*KEYS, *self.extra).index(key) for key in keys]
        return self.noise[:, index][:, :, index]


def measure(cells: Iterable[tuple[Mapping[str, Any], Tally, Mapping[str, Extra]]]) -> Measured:
    """Measure cells; each is what identifies it (the first columns of `cells`), its tally by blocks, and
    extra statistics by name, the same for all cells."""
    rows, noise, blocks, scores, names = [], [], [], [], tuple[str, ...]()
    for identity, sums, extra in cells:
        names = tuple(extra)
        metrics = summarise(sums)
        metrics["gap"] = metrics["included_accuracy"] - metrics["excluded_accuracy"]
        resampled, n = replicates(sums), len(sums.block)
        row = {**identity, "members": metrics["members"]}
        bounds = {key: interval(metrics[key], resampled[key], n) for key in KEYS}
        bounds |= _fraction_bounds(sums.total)
        for key in KEYS:
            low, high = np.clip(bounds[key], -1 if key in SIGNED else 0, 1)
            row |= {key: metrics[key], f"{key}_low": low, f"{key}_high": high}
        for key, one in extra.items():
            low, high = np.clip(jackknife_interval(one.value, one.without), 0, 1)
            row |= {key: one.value, f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
        blocks.append(n)
        own = covariance(np.stack([resampled[key] for key in KEYS]), n)
        noise.append(_with_extra(own, sums, list(extra.values())))
        scores.append(_scores(sums))
    return Measured(pd.DataFrame(rows), np.stack(noise), np.array(blocks), scores, names)


def _with_extra(noise: Floats, sums: Tally, extra: Sequence[Extra]) -> Floats:
    """noise: of KEYS."""
    if not extra:
        return noise
    size = len(KEYS) + len(extra)
    whole = np.full((size, size), np.nan)
    whole[: len(KEYS), : len(KEYS)] = noise
    accuracies = without_each_block(sums)
    places = [KEYS.index(key) for key in JACKKNIFED]
    for i, one in enumerate(extra, len(KEYS)):
        if len(one.without) == len(sums.block):
            found = jackknife_covariance(np.stack([*(accuracies[key] for key in JACKKNIFED), one.without]))[
                -1
            ]
            whole[i, [*places, i]] = whole[[*places, i], i] = found
    return whole


def _fraction_bounds(counts: Counts) -> dict[str, tuple[float, float]]:
    """95 % interval of each memorized fraction by its name, NaN where members are too few."""
    names = map(fraction_key, THRESHOLDS)
    if not mixture.enough(counts):
        return dict.fromkeys(names, (float("nan"), float("nan")))
    table = mixture.table(counts)
    low, high = mixture.share_intervals(table, mixture.fit(table), np.array(THRESHOLDS))
    return dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _scores(sums: Tally) -> Floats:
    odd = np.arange(len(sums.block)) % 2 == 1
    return np.stack([one.total.score for one in (sums, sums.part(odd), sums.part(~odd))])
