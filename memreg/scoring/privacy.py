"""A stored cell's members attacked by each other, and what that says of each example."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Floats, Mask, Tally, half
from memreg.estimators.membership import Attacked, Known, attacked
from memreg.estimators.roc import Trials, threshold
from memreg.estimators.scores import by_example
from memreg.estimators.statistics import ATTACKS, RATES, rate_key
from memreg.estimators.vulnerability import columns, found_at, separation_interval, separations, typical
from memreg.margins import stored
from memreg.members import tallied
from memreg.registry import StoredCell
from memreg.registry.tables import MEMBERS
from memreg.resources import cores

CHUNK = 4_000_000
"""Members x examples that are looked at together."""


@dataclass(frozen=True, eq=False)
class Margins:
    """What attackers have of a cell, and how much of it is not exact."""

    known: Known
    clipped: int
    """Members whose margins are made of `p_label`, and end at 8.3."""
    sums: Tally
    """Of the same members, by block."""


def margins_of(cell: StoredCell) -> Margins:
    """All members of a cell that did not diverge. Raises `MemregError` where they cannot be attacked."""
    members = cell.members("included", "predicted", "margin").kept()
    margin, n = members.margin, members.n_train
    if margin.dtype != np.float16:
        margin = stored(margin)
    if np.isnan(margin[:, :n]).any():
        raise MemregError(
            f"{cell} was imported without margins or p_label, of which membership inference is made"
        )
    if np.isnan(margin[:, n:]).any():
        margin = margin[:, :n]
    block = np.array([cell.cell.design.block(int(m)) for m in members.member], np.int64)
    if not len(block):
        raise MemregError(f"{cell}: all members diverged, and there is nothing to attack")
    if len(np.unique(block)) < 2:
        raise MemregError(
            f"{cell} has one block of members, and a member is attacked by those of other blocks: train more"
        )
    with_it = members.included.sum(0)
    if not ((with_it > 1) & (len(block) - with_it > 1)).any():
        raise MemregError(
            f"{cell} has no example that some members include and some leave out: name one of subsets"
        )
    sums = tallied([members], cell.labels, cell.cell.design.block)
    return Margins(Known(margin, members.included, block), int((~members.exact).sum()), sums)


def attack(cell: StoredCell, chosen: Collection[str] = tuple(ATTACKS)) -> tuple[Margins, Attacked]:
    """Attack a cell's members; chosen: of ATTACKS. Raises `MemregError` where that cannot be done."""
    margins = margins_of(cell)
    found = attacked(margins.known, chosen)
    included = margins.known.included
    for score in found.scores.values():
        for side in (included, ~included):
            if not any((on & ~np.isnan(row)).any() for row, on in zip(score, side, strict=True)):
                raise MemregError(
                    f"{cell} has {len(included)} members: without a block of them, no example has two with "
                    "it and two without it to attack the others by: train more"
                )
    return margins, found


def vulnerability(cell: StoredCell, known: Known, found: Attacked, counted: Trials) -> pd.DataFrame:
    """scores-privacy.parquet: a row per training example; docs/registry.md has the columns.

    counted: of the attack `online`, whose false-positive rates are of all examples together.
    """
    at = {rate_key(rate): threshold(counted, rate) for rate in RATES}

    def of(chunk: slice) -> pd.DataFrame:
        margin, included = _turned(known, chunk)
        score = np.ascontiguousarray(found.scores["online"][:, chunk].T)
        auc, n_in, n_out = separations(margin, included), included.sum(1), (~included).sum(1)
        table = pd.DataFrame({"score": auc})
        table["low"], table["high"] = separation_interval(auc, n_in, n_out)
        table["included_count"], table["excluded_count"] = n_in, n_out
        rates = [columns(name, found_at(score, included, value)) for name, value in at.items()]
        ratio = columns("log_likelihood_ratio", typical(score, included))
        return pd.concat([table, *rates, ratio], axis=1)

    with ThreadPoolExecutor(cores()) as pool:
        table = pd.concat(pool.map(of, _chunks(known)), ignore_index=True)
    table = by_example(table, cell.labels)
    table.attrs[MEMBERS] = {cell.hash: cell.count}
    return table


def separations_in_halves(known: Known) -> list[Floats]:
    """`separations` of each example from either half of the members, [n_train]."""
    second = half(known.block) == 1
    parts = [known.part(rows) for rows in (~second, second)]
    with ThreadPoolExecutor(cores()) as pool:
        return [
            np.concatenate(
                list(pool.map(lambda chunk, own=part: separations(*_turned(own, chunk)), _chunks(part)))
            )
            for part in parts
        ]


def _turned(known: Known, chunk: slice) -> tuple[NDArray[np.float16], Mask]:
    """Margins and inclusion of some examples, [n, k]."""
    margin, included = known.margin[:, chunk].T, known.included[:, chunk].T
    return np.ascontiguousarray(margin), np.ascontiguousarray(included)


def _chunks(known: Known) -> Iterator[slice]:
    k, n = known.included.shape
    step = max(1, CHUNK // max(k, 1))
    return (slice(first, min(first + step, n)) for first in range(0, n, step))
