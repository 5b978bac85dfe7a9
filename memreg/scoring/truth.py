"""Leave-one-out scores as the truth that proxies are judged against."""

from collections.abc import Collection
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Counts, Floats
from memreg.estimators.leaderboard import Truth
from memreg.estimators.leave_one_out import leave_one_out
from memreg.registry import StoredCell
from memreg.registry.stored_cell import Part
from memreg.scoring.leave_one_out import in_halves, leave_out_design, undivided

FEWEST = 20
"""Members of either cell from which a truth is more than noise."""
FEWEST_UNITS = 10
"""Targets, those of one sub-population together, to calibrate on some and to judge by others."""


def truth_of(cell: StoredCell, without: Collection[int] = ()) -> tuple[NDArray[np.int64], Truth]:
    """Targets of a leave-out cell, [t], and their scores.

    without: members on everything that do not count, since what is judged is made of them. Raises
    `MemregError` where too few are left, and where halves have no scores.
    """
    targets = np.array(leave_out_design(cell.cell).targets, np.int64)
    everything = undivided(cell)
    rest = set(everything.members("member").member.tolist()).difference(without)
    if len(rest) < FEWEST:
        raise MemregError(
            f"{everything}, of members on everything, has {len(rest)} beside the {len(without)} that proxies "
            f"are made of, and the truth takes {FEWEST}: train more, by everything={len(without) + 400} of "
            "`memreg leave_one_out`"
        )
    whole, left_out = in_halves(Part(everything, rest)), in_halves(cell)
    halves = np.stack([leave_one_out(whole[h], left_out[h]).score[targets] for h in (0, 1)])
    counts = leave_one_out(_both(*whole), _both(*left_out)).each(lambda a: a[targets])
    if np.isnan(counts.score).any() or np.isnan(halves).any():
        raise MemregError(f"{cell} has not two members without each of its targets: train more")
    unit, size = _units(cell, targets)
    if (units := len(np.unique(unit))) < FEWEST_UNITS:
        raise MemregError(
            f"{cell} has targets of {units} sub-populations, those of none counted alone: a judgement takes "
            f"{FEWEST_UNITS}, better a hundred"
        )
    return targets, Truth(counts.score, _noise(counts), halves, unit, size)


def _both(one: Counts, other: Counts) -> Counts:
    return Counts(*(getattr(one, f.name) + getattr(other, f.name) for f in fields(Counts)))


def _noise(counts: Counts) -> Floats:
    """Standard errors of scores, with half a count more to either side, so that none is 0."""

    def variance(correct: Floats, n: Floats) -> Floats:
        p = (correct + 0.5) / (n + 1)
        return p * (1 - p) / n

    included = variance(counts.included_correct.astype(float), counts.included.astype(float))
    excluded = variance(counts.excluded_correct.astype(float), counts.excluded.astype(float))
    return np.sqrt(included + excluded)


def _units(cell: StoredCell, targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which targets are of one planted sub-population, and its size; 0 for ordinary examples."""
    n = cell.n_train
    alone = n + np.arange(len(targets))
    if "group" not in cell.examples:
        return alone, np.zeros(len(targets), np.int64)
    group = cell.examples["group"].to_numpy(np.int64)[:n]
    sizes = np.bincount(group[group >= 0])
    own = group[targets]
    return np.where(own >= 0, own, alone), np.where(own >= 0, sizes[np.maximum(own, 0)], 0)
