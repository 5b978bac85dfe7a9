"""What the stored members of several cells say: values, their noise, and scores by halves of the members."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.estimators import mixture
from memreg.estimators.bootstrap import covariance, interval, replicates
from memreg.estimators.counts import Counts, Floats, Tally
from memreg.estimators.statistics import STATISTICS, fraction_key
from memreg.estimators.summary import summarise
from memreg.estimators.threshold import THRESHOLDS

KEYS = ("test_accuracy", "included_accuracy", "gap", *STATISTICS)
SIGNED = ("gap", "mean_score")  # between -1 and 1; all others are shares


@dataclass(frozen=True)
class Measured:
    """Everything about cells that correlations are made of."""

    cells: pd.DataFrame
    """A row per cell: `run_id`, `cell`, `dataset`, `model`, `family`, `members`, then each of KEYS with
    `_low` and `_high` (95 %: of the true share for memorized fractions, over members for all others)."""
    noise: Floats
    """[cells, KEYS, KEYS]: covariance of what finite members leave in the values."""
    blocks: NDArray[np.int64]
    """[cells]: independent blocks of members."""
    scores: list[Floats]
    """For each cell [3, n_train]: scores from all members, and from two halves of them (every other
    block)."""

    def values(self, key: str) -> Floats:
        """[cells]"""
        return self.cells[key].to_numpy(float)

    def noise_of(self, *keys: str) -> Floats:
        """[cells, keys, keys]"""
        index = [KEYS.index(key) for key in keys]
        return self.noise[:, index][:, :, index]


def measure(cells: Iterable[tuple[Mapping[str, Any], Tally]]) -> Measured:
    """Measure cells; each is what identifies it (the first columns of `cells`) and its tally by blocks."""
    rows, noise, blocks, scores = [], [], [], []
    for identity, sums in cells:
        metrics = summarise(sums)
        metrics["gap"] = metrics["included_accuracy"] - metrics["excluded_accuracy"]
        resampled, n = replicates(sums), len(sums.block)
        row = {**identity, "members": metrics["members"]}
        bounds = {key: interval(metrics[key], resampled[key], n) for key in KEYS}
        bounds |= _fraction_bounds(sums.total)
        for key in KEYS:
            low, high = np.clip(bounds[key], -1 if key in SIGNED else 0, 1)
            row |= {key: metrics[key], f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
        blocks.append(n)
        noise.append(covariance(np.stack([resampled[key] for key in KEYS]), n))
        scores.append(_scores(sums))
    return Measured(pd.DataFrame(rows), np.stack(noise), np.array(blocks), scores)


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
