"""Scores of a stored cell's members, estimator by estimator: closer to leave-one-out's than Feldman &
Zhang's."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from memreg.estimators.counts import Counts, Floats, Mask, half, tally
from memreg.estimators.extrapolation import extrapolate
from memreg.estimators.gaussian import LIMIT, confidence, normal_scores
from memreg.estimators.peers import peer_conditioned
from memreg.estimators.scores import by_example, score_table
from memreg.estimators.shrunk import MINIMUM, posterior_scores
from memreg.members import Members
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED
from memreg.registry.tables import MEMBERS
from memreg.scoring.neighbours import Groups
from memreg.scoring.outcomes import outcomes


def peer_scores(cell: StoredCell, neighbours: Groups | None = None) -> pd.DataFrame:
    """The peer-conditioned score. Behind scores.parquet's columns: `peers`, `conditioned`, `fallback` and,
    where peers are found, `detectable` (the smallest effect by which one is).

    Peers are found by co-influence in either half of the members, and used in the other; or they are known,
    as groups of examples.
    """
    own, labels = outcomes(cell), cell.train_labels
    second = half(own.block) == 1
    if second.all() or not second.any():
        raise MemregError(f"{cell} has one block of members, and finding peers needs two: train more")

    def found_in(rows: Mask) -> csr_array:
        return find_peers(own.included[rows], own.correct_train[rows], labels)

    known = None if neighbours is None else peers_in_groups(neighbours, len(labels))
    peers = (found_in(~second), found_in(second)) if known is None else (known, known)
    found = peer_conditioned(own.included, own.correct_train, second, peers)
    table = score_table(found.counts, cell.given_labels)
    table = table.assign(peers=found.peers, conditioned=found.conditioned, fallback=found.fallback)
    if known is None:
        halves = [
            detectable(own.included[rows], own.correct_train[rows], labels) for rows in (~second, second)
        ]
        table["detectable"] = np.maximum(*halves)
    return table


def extrapolated_scores(cell: StoredCell) -> pd.DataFrame:
    """Scores carried to n-1 from all cells that differ from this one in r alone."""
    own = cell.cell
    if not isinstance(own.design, Subsets | Spread):
        raise MemregError(f"{cell} is of design {own.design.kind}: extrapolation takes subsets or spread")
    counts, members = {}, {}
    registry = cell.registry
    rows = registry.cells().query("dataset == @own.dataset and design == @own.design.kind")["run_id"]
    for other in registry.cells_by_run(rows):
        design = other.cell.design
        if not isinstance(design, Subsets | Spread):
            continue
        if other.cell.with_design(own.design) == own and _but_for_r(design) == _but_for_r(own.design):
            counts[design.r] = other.tally().total
            members[other.hash] = other.count
    if len(counts) < 2:
        raise MemregError(
            f"{cell} has no sibling that differs in r alone: extrapolation takes two values of r and better "
            "four, as 0.5, 0.7, 0.9 and 0.97"
        )
    rs = sorted(counts)
    table = by_example(extrapolate(rs, [counts[r] for r in rs]), cell.given_labels)
    table.attrs[MEMBERS] = members
    return table


def gaussian_scores(cell: StoredCell) -> pd.DataFrame:
    """Feldman & Zhang's scores with less noise, from the margins of the label."""
    counted, confident = [], []
    for included, correct, margin in _with_margin("gaussian", cell):
        counted.append(tally(included, correct, np.zeros(len(included), int)))
        confident.append(confidence(included, correct[:, : cell.n_train], margin))
    return _scored(cell, normal_scores(reduce(add, counted).total, reduce(add, confident)))


@dataclass(frozen=True, eq=False)
class Odds:
    """k members that did not diverge."""

    member: NDArray[np.int32]
    included: Mask
    """Shape [k, n_train]; so `correct` and `odds`."""
    correct: Mask
    odds: Floats
    """Of the label, held within LIMIT."""


def odds_of(cell: StoredCell) -> Odds:
    """All of a cell's members at once: 10 bytes for each and training example."""
    members = cell.members("included", "predicted", "margin").kept()
    correct = members.correct(cell.labels)[:, : members.n_train]
    return Odds(members.member, members.included, correct, _odds("candidates", cell, members))


def gaussian_of(cell: StoredCell, members: Odds, company: Mask) -> pd.DataFrame:
    """As `gaussian_scores`, of the members without an example only those in its company, [k, n_train]."""
    included, counted = members.included, ~members.included & company
    counts = Counts(
        *(x.sum(0) for x in (included, included & members.correct, counted, counted & members.correct))
    )
    return _scored(cell, normal_scores(counts, confidence(~counted, members.correct, members.odds)))


def shrunk_scores(cell: StoredCell) -> pd.DataFrame:
    """Feldman & Zhang's scores with less error on average, from few members: to rank examples by."""
    counted, excluded, including = [], [], []
    for included, correct, margin in _with_margin("shrunk", cell):
        counted.append(tally(included, correct, np.zeros(len(included), int)))
        excluded.append(confidence(included, correct[:, : cell.n_train], margin))
        including.append(confidence(~included, correct[:, : cell.n_train], margin))
    sums = reduce(add, counted)
    if (members := int(sums.members.sum())) < MINIMUM:
        raise MemregError(f"{cell} has {members} members: shrunk takes {MINIMUM} or more, train more")
    return _scored(cell, posterior_scores(sums.total, reduce(add, excluded), reduce(add, including)))


def _with_margin(estimator: str, cell: StoredCell) -> Iterator[tuple[Mask, Mask, Floats]]:
    """Shard by shard, without members that diverged: included [k, n_train], correct [k, N] and the label's
    margin [k, n_train], held within LIMIT: both estimators take margins for normal, and in the tails they are
    not."""
    for shard in cell.shards(*COUNTED, "margin"):
        members = shard.kept()
        yield members.included, members.correct(cell.labels), _odds(estimator, cell, members)


def _odds(estimator: str, cell: StoredCell, members: Members) -> Floats:
    margin = members.margin[:, : members.n_train].astype(np.float64)
    if np.isnan(margin).any():
        raise MemregError(
            f"{cell} was imported without margins or p_label: {estimator} takes the label's log odds"
        )
    held: Floats = np.clip(margin, -LIMIT, LIMIT)
    return held


def _scored(cell: StoredCell, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its examples; `MemregError` where none has a score."""
    if table["score"].isna().all():
        raise MemregError(f"{cell} has no scores: no example is included by some and left out by two")
    return by_example(table, cell.given_labels)


def _but_for_r(design: Subsets | Spread) -> dict[str, Any]:
    """What tells two designs apart; the version follows from r."""
    return design.model_dump(exclude={"r", "version"})
