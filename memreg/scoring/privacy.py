"""A stored cell's members attacked by each other, and what that says of each example."""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.design import CHOSEN, of_chosen
from memreg.errors import MemregError
from memreg.estimators.counts import Floats, Mask, Tally, half
from memreg.estimators.membership import Attacked, Known, attacked, curves
from memreg.estimators.roc import Curves, Trials, threshold
from memreg.estimators.scores import by_example
from memreg.estimators.statistics import ATTACKS, RATES, rate_key
from memreg.estimators.vulnerability import columns, found_at, separation_interval, separations, typical
from memreg.margins import stored
from memreg.members import Members, tallied
from memreg.registry import StoredCell
from memreg.registry.tables import MEMBERS
from memreg.resources import cores

QUERIES = "queries"
"""What traces have the margins of views under: see `memreg.observers`."""
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
    left_out: int = 0
    """Members that did not keep what is asked for."""


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
    known = Known(margin, members.included, _blocks(cell, members))
    sums = tallied([members], cell.labels, cell.cell.design.block)
    return Margins(known, int((~members.exact).sum()), sums)


def queries_of(cell: StoredCell) -> Margins:
    """All members that did not diverge and kept `queries`, each asked by the image and by views of it: both
    margins are of the network that was traced. Raises `MemregError` where they cannot be attacked."""
    asked: dict[int, NDArray[np.float16]] = {}
    checkpoints = 1
    for trace in cell.each_trace("margin", QUERIES):
        checkpoints = len(trace.steps)
        if QUERIES in trace.quantities:
            queries = np.concatenate([trace["margin"][0, -1:], trace[QUERIES][0].T])
            if not np.isnan(queries).any():
                asked[int(trace.member[0])] = queries
    members = cell.members("included", "predicted").kept()
    there = np.isin(members.member, list(asked))
    if not there.any():
        raise MemregError(f"{cell} has no member that kept queries: {_kept_by(cell, checkpoints)}")
    members, left_out = members[there], int((~there).sum())
    block = _blocks(cell, members, left_out)
    queries = np.stack([asked.pop(int(m)) for m in members.member], axis=1)
    known = Known(queries[0], members.included, block, tuple(queries[1:]))
    sums = tallied([members], cell.labels, cell.cell.design.block)
    return Margins(known, 0, sums, left_out)


def _kept_by(cell: StoredCell, checkpoints: int) -> str:
    """The command by which all members keep queries. checkpoints: of the traces that are there."""
    if cell.cell.design.kind == "imported":
        return "it was imported, and its networks are not here to be asked"
    n = int(cell.members("member").member.max()) + 1
    return (
        f"`memreg train --like {cell.hash[:12]} --members {n} --trace {n} --checkpoints {checkpoints} "
        f"--observers {QUERIES}` keeps them"
    )


def _named(cell: StoredCell, members: int, left_out: int) -> str:
    return f"{cell}, of whose members {members} kept queries," if left_out else str(cell)


def _blocks(cell: StoredCell, members: Members, left_out: int = 0) -> NDArray[np.int64]:
    """Of each member. Raises `MemregError` for members that cannot be attacked by each other."""
    name = _named(cell, len(members), left_out)
    block = np.array([cell.cell.design.block(int(m)) for m in members.member], np.int64)
    if not len(block):
        raise MemregError(f"{cell}: all members diverged, and there is nothing to attack")
    if len(np.unique(block)) < 2:
        raise MemregError(
            f"{name} has one block of members, and a member is attacked by those of other blocks: train more"
        )
    with_it = members.included.sum(0)
    if not ((with_it > 1) & (len(block) - with_it > 1)).any():
        raise MemregError(
            f"{name} has no example that some members include and some leave out: name one of subsets"
        )
    return block


def attack(
    cell: StoredCell, chosen: Collection[str] = tuple(ATTACKS), queries: bool = False
) -> tuple[Margins, Attacked]:
    """Attack a cell's members; chosen: of ATTACKS; queries: by views of the images too. Raises `MemregError`
    where that cannot be done."""
    if (kind := cell.cell.design.kind) in CHOSEN:
        raise MemregError(f"{cell}: {of_chosen(kind)}, and attacks would be of these: name a cell of subsets")
    margins = queries_of(cell) if queries else margins_of(cell)
    found = attacked(margins.known, chosen)
    included = margins.known.included
    name = _named(cell, len(included), margins.left_out)
    for score in found.scores.values():
        for side in (included, ~included):
            if not any((on & ~np.isnan(row)).any() for row, on in zip(score, side, strict=True)):
                raise MemregError(
                    f"{name} has {len(included)} members: without a block of them, no example has two with "
                    "it and two without it to attack the others by: train more"
                )
    return margins, found


@dataclass(frozen=True)
class Asked:
    """What views of the images, as queries beside the images themselves, do for LiRA online."""

    queries: int
    """Of each image: itself and its views."""
    left_out: int
    """Members that kept no queries."""
    image: Curves
    """By the image alone, on the same members."""
    gain: Mapping[str, float]
    """How much more of TOLD is achieved than by the image alone; see `Curves.gain`."""


def help_of_views(margins: Margins, online: Curves, pooled: bool) -> Asked:
    """online: the curve of the attack with views; pooled: whether its examples share one variance."""
    known = replace(margins.known, views=())
    image = curves(known, attacked(known, ("online",), pooled))["online"]
    return Asked(1 + len(margins.known.views), margins.left_out, image, online.gain(image))


def vulnerability(cell: StoredCell, known: Known, found: Attacked, counted: Trials) -> pd.DataFrame:
    """scores-privacy.parquet: a row per training example; docs/registry.md has the columns.

    known: without views; see `Known.averaged`. found, counted: of the attack `online` on it, whose
    false-positive rates are of all examples together.
    """
    assert found.by_all is not None, "the attack was online"
    by_all = found.by_all
    at = {rate_key(rate): threshold(counted, rate) for rate in RATES}

    def of(chunk: slice) -> pd.DataFrame:
        margin, included = _turned(known, chunk)
        score = np.ascontiguousarray(by_all[:, chunk].T)
        auc, n_in, n_out = separations(margin, included), included.sum(1), (~included).sum(1)
        table = pd.DataFrame({"score": auc})
        table["low"], table["high"] = separation_interval(auc, n_in, n_out)
        table["included_count"], table["excluded_count"] = n_in, n_out
        rates = [columns(name, found_at(score, included, value)) for name, value in at.items()]
        ratio = columns("log_likelihood_ratio", typical(score, included))
        return pd.concat([table, *rates, ratio], axis=1)

    with ThreadPoolExecutor(cores()) as pool:
        table = pd.concat(pool.map(of, _chunks(known)), ignore_index=True)
    table = by_example(table, cell.given_labels)
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
