"""Scores closer to leave-one-out's than Feldman & Zhang's, from members that are stored already."""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from memreg.design import Spread, Subsets
from memreg.errors import MemregError
from memreg.estimators.coinfluence import detectable, find_peers, peers_in_groups
from memreg.estimators.counts import Floats, Mask, half, tally
from memreg.estimators.extrapolation import extrapolate
from memreg.estimators.gaussian import confidence, normal_scores
from memreg.estimators.peers import peer_conditioned
from memreg.estimators.shrunk import MINIMUM, posterior_scores
from memreg.prediction import diverged
from memreg.questions.memorization import numbered, score_table
from memreg.registry import Registry
from memreg.registry.reader import MEMBERS, labels
from memreg.scoring.leave_one_out import truth_scores
from memreg.scoring.members import Members, read_members
from memreg.scoring.neighbours import neighbours_of
from memreg.scoring.tallies import COLUMNS, tally_shards


def peer_scores(registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """The peer-conditioned score. Behind scores.parquet's columns: `peers`, `conditioned`, `fallback` and,
    where peers are found, `detectable` (the smallest effect by which one is).

    Peers are found by co-influence in either half of the members, and used in the other; or they are
    known: `neighbours` is `groups` (of a planted data set), another cell, or a JSON file.
    """
    members = read_members(registry, cell)
    second = half(members.block) == 1
    if second.all() or not second.any():
        raise MemregError(f"cell {cell} has one block of members: finding peers takes two halves, train more")
    if neighbours is None:
        peers = _found(members, ~second), _found(members, second)
    else:
        known = neighbours_of(neighbours, registry, cell)
        peers = (peers_in_groups(known, len(members.labels)),) * 2
    found = peer_conditioned(members.included, members.correct_train, second, peers)
    table = score_table(found.counts, members.labels)
    table = table.assign(peers=found.peers, conditioned=found.conditioned, fallback=found.fallback)
    if neighbours is None:
        halves = [
            detectable(members.included[rows], members.correct_train[rows], members.labels)
            for rows in (~second, second)
        ]
        table["detectable"] = np.maximum(*halves)
    return table


def extrapolated_scores(registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """Scores carried to n-1 from all cells that differ from this one in r alone."""
    _without_neighbours("extrapolation", neighbours)
    own = registry.cell(cell)
    if not isinstance(own.design, Subsets | Spread):
        raise MemregError(
            f"cell {cell} is of design {own.design.kind}: extrapolation takes subsets or spread"
        )
    counts, members = {}, {}
    for other in registry.cells().query("dataset == @own.dataset and design == @own.design.kind")["cell"]:
        what = registry.cell(other)
        design = what.design
        if not isinstance(design, Subsets | Spread):
            continue
        if what.with_design(own.design) == own and _but_for_r(design) == _but_for_r(own.design):
            shards = registry.shards(other, COLUMNS)
            counts[design.r] = tally_shards(shards, labels(registry.examples(other))).total
            members[what.hash] = registry.members(what.hash)
    if len(counts) < 2:
        raise MemregError(
            f"cell {cell} has no sibling that differs in r alone: extrapolation takes two values of r and "
            "better four, as 0.5, 0.7, 0.9 and 0.97"
        )
    rs = sorted(counts)
    table = numbered(extrapolate(rs, [counts[r] for r in rs]), labels(registry.examples(cell)))
    table.attrs[MEMBERS] = members
    return table


def gaussian_scores(registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """Feldman & Zhang's scores with less noise, from the probabilities of the label."""
    _without_neighbours("gaussian", neighbours)
    known = labels(registry.examples(cell))
    counted, confident = [], []
    for included, correct, p_label in _with_p_label("gaussian", registry, cell, known):
        n = included.shape[1]
        counted.append(tally(included, correct, np.zeros(len(included), int)))
        confident.append(confidence(included, correct[:, :n], p_label))
    return _scored(cell, normal_scores(reduce(add, counted).total, reduce(add, confident)), known)


def shrunk_scores(registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """Feldman & Zhang's scores with less error on average, from few members: to rank examples by."""
    _without_neighbours("shrunk", neighbours)
    known = labels(registry.examples(cell))
    counted, excluded, including = [], [], []
    for included, correct, p_label in _with_p_label("shrunk", registry, cell, known):
        n = included.shape[1]
        counted.append(tally(included, correct, np.zeros(len(included), int)))
        excluded.append(confidence(included, correct[:, :n], p_label))
        including.append(confidence(~included, correct[:, :n], p_label))
    sums = reduce(add, counted)
    if (members := int(sums.members.sum())) < MINIMUM:
        raise MemregError(f"cell {cell} has {members} members: shrunk takes {MINIMUM} or more, train more")
    table = posterior_scores(sums.total, reduce(add, excluded), reduce(add, including))
    return _scored(cell, table, known)


def leave_one_out_scores(registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """Equation 1 for the targets of a leave-out cell."""
    _without_neighbours("leave_one_out", neighbours)
    return truth_scores(registry, cell)


ESTIMATORS: dict[str, Callable[[Registry, str, str | None], pd.DataFrame]] = {
    "peers": peer_scores,
    "extrapolation": extrapolated_scores,
    "gaussian": gaussian_scores,
    "shrunk": shrunk_scores,
    "leave_one_out": leave_one_out_scores,
}
"""By the name that `scores-<name>.parquet` has."""


def scores_by(estimator: str, registry: Registry, cell: str, neighbours: str | None = None) -> pd.DataFrame:
    """A row per training example: `example`, `label`, `score`, `standard_error`, `low`, `high`, and more."""
    if estimator not in ESTIMATORS:
        raise MemregError(f"unknown estimator '{estimator}': one of {', '.join(ESTIMATORS)}")
    table = ESTIMATORS[estimator](registry, cell, neighbours)
    if MEMBERS not in table.attrs:
        own = registry.cell(cell).hash
        table.attrs[MEMBERS] = {own: registry.members(own)}
    return table


def _with_p_label(
    estimator: str, registry: Registry, cell: str, known: NDArray[np.int64]
) -> Iterator[tuple[Mask, Mask, Floats]]:
    """Shard by shard, without members that diverged: included [k, n_train], correct [k, N] and the label's
    probability [k, n_train]; known: labels [N]."""
    for shard in registry.shards(cell, (*COLUMNS, "p_label")):
        kept = ~diverged(shard["predicted"])
        included, predicted, p = (shard[name][kept] for name in ("included", "predicted", "p_label"))
        p_label = p[:, : included.shape[1]]
        if np.isnan(p_label).any():
            raise MemregError(f"cell {cell} was imported without p_label: {estimator} takes probabilities")
        yield included, np.equal(predicted, known), p_label


def _scored(cell: str, table: pd.DataFrame, known: NDArray[np.int64]) -> pd.DataFrame:
    """The table with its examples; `MemregError` where none has a score."""
    if table["score"].isna().all():
        raise MemregError(f"cell {cell} has no scores: no example is included by some and left out by two")
    return numbered(table, known)


def _but_for_r(design: Subsets | Spread) -> dict[str, Any]:
    """What tells two designs apart; the version follows from r."""
    return design.model_dump(exclude={"r", "version"})


def _without_neighbours(estimator: str, neighbours: str | None) -> None:
    if neighbours is not None:
        raise MemregError(f"{estimator} uses no neighbours: leave them out")


def _found(members: Members, rows: np.ndarray) -> csr_array:
    return find_peers(members.included[rows], members.correct_train[rows], members.labels)
