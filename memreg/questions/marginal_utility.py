"""Marginal utility as a study: members on everything, and on everything but what each arm leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from memreg.cell import Cell
from memreg.design import All, Design, Removal
from memreg.design.arms import arms
from memreg.errors import MemregError
from memreg.estimators.counts import Mask
from memreg.estimators.duplicates import has_near_duplicate
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.utility import knee
from memreg.grid import Grid
from memreg.questions.memorization import RANKS, rescore
from memreg.registry import Registry
from memreg.scoring.better_scores import ESTIMATORS, scores_by
from memreg.scoring.marginal_utility import (
    Arm,
    MarginalUtility,
    affected,
    log_marginal_utility,
    marginal_utility,
)
from memreg.scoring.neighbours import neighbours_of
from memreg.show.terminal import Reporter
from memreg.studies.resolved import Resolved, resolve_like
from memreg.studies.study import Where, open_study

AUTO = "auto"


@dataclass(frozen=True)
class Request:
    """What is asked of `-e marginal_utility`."""

    cell: str
    """A stored cell of design subsets, whose scores, data set and recipe are used."""
    estimator: str = "peers"
    """Of the verified: one of `memreg.scoring.better_scores.ESTIMATORS`, or CELL[:ESTIMATOR]."""
    thresholds: str = "0.15,0.25,0.45,0.65,0.85"
    """Or `auto`."""
    members: int = 100
    """Of every arm."""
    neighbours: str | None = None
    """Who makes a sub-population: a cell, a JSON file, or `groups`; by default `cell`."""
    margin: float = 0.5
    """Points of accuracy."""
    seed: int = 0
    dataset: str | None = None
    """The cell's once more, where it is code of the user's."""


@dataclass(frozen=True)
class Plan:
    arms: list[Arm]
    resolved: list[Resolved]
    """The first is on everything."""
    scored: Mapping[float, Mask]
    chosen: str


@dataclass(frozen=True)
class Utility:
    """What `-e marginal_utility` answers."""

    run_id: str
    experiment_id: str
    cells: pd.DataFrame
    result: MarginalUtility


def run_marginal_utility(
    request: Request,
    study: str,
    where: Where,
    reporter: Reporter,
) -> Utility:
    """Train what is missing, compare, and log it to the study's run.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    plan = plan_arms(request, Registry(where.tracking_uri), where.data_dir)
    dataset = plan.resolved[0].dataset
    distinct = ~has_near_duplicate(dataset.test_images, dataset.train_images)
    grid = Grid("marginal_utility", "Members on everything, and without what each arm leaves out.", ())
    with open_study(grid, plan.resolved, study, where, reporter) as opened:
        opened.train()
        table = opened.table()
        opened.run.artifacts.put("cells.parquet", table.to_parquet)
        result = marginal_utility(
            opened.registry,
            plan.resolved[0].cell.hash,
            plan.arms,
            request.members,
            distinct,
            affected(opened.registry, request.cell, plan.scored),
            request.margin,
            plan.chosen,
        )
        log_marginal_utility(opened.run, result)
    return Utility(opened.run.run_id, opened.run.experiment_id, table, result)


def plan_arms(request: Request, registry: Registry, data_dir: Path | None = None) -> Plan:
    """What each arm leaves out, and the cells to train."""
    source = registry.cell(request.cell)
    found = rescore(registry, request.cell)
    if found.scores["score"].isna().all():
        raise MemregError(
            f"cell {request.cell} is of design {source.design.kind}, which scores nothing: name one of "
            "subsets"
        )
    verified = _verified(registry, request, source)
    marked, chosen = _marked(request, found.scores)
    groups = neighbours_of(request.neighbours or request.cell, registry, request.cell)
    labels = found.scores["label"].to_numpy()
    everything = All(seed=request.seed)
    cells: dict[Design, int] = {everything: request.members}
    planned = []
    for threshold, scored in marked.items():
        also = scored & _above(verified, threshold, by_set=bool(chosen))
        for name, pools in arms(scored, also, labels, groups, f"threshold {threshold:g}").items():
            design = Removal(seed=request.seed, pools=pools)
            cells[design] = request.members
            planned.append((threshold, name, design))
    resolved = resolve_like(source, list(cells.items()), data_dir, request.dataset)
    hashes = {item.cell.design: item.cell.hash for item in resolved}
    return Plan(
        [Arm(threshold, name, design.pools, hashes[design]) for threshold, name, design in planned],
        resolved,
        marked,
        chosen,
    )


def _marked(request: Request, scores: pd.DataFrame) -> tuple[dict[float, Mask], str]:
    """Examples that score each threshold, and how it was chosen if not by the user."""
    if request.thresholds == AUTO:
        at = round(knee(scores["score"].dropna().to_numpy()), 3)
        marked = memorized_set(scores, at)
        plain = int((scores["score"] >= at).sum())
        return {at: marked}, (
            f"The threshold {at:g} is the knee of the sorted scores; of the {plain} examples at or above it, "
            f"the {int(marked.sum())} are left out whose score is above it at a false discovery rate of 5 %."
        )
    try:
        values = sorted({float(word) for word in request.thresholds.split(",")})
    except ValueError:
        values = []
    if not values or not all(-1 < value <= 1 for value in values):
        raise MemregError(
            f"thresholds={request.thresholds}: must be scores up to 1 with commas between, as 0.25,0.45, "
            "or auto"
        )
    return {value: _above(scores, value) for value in values}, ""


def _above(scores: pd.DataFrame, threshold: float, by_set: bool = False) -> Mask:
    if by_set and "included_count" in scores:
        return memorized_set(scores, threshold)
    above: Mask = np.nan_to_num(scores["score"].to_numpy(), nan=-1) >= threshold - 1e-12
    return above


def _verified(registry: Registry, request: Request, source: Cell) -> pd.DataFrame:
    if request.estimator.rpartition(":")[2] in RANKS:
        raise MemregError(f"estimator={request.estimator} ranks examples, and is for no threshold: use peers")
    if request.estimator in ESTIMATORS:
        known = request.neighbours if request.estimator == "peers" else None
        return scores_by(request.estimator, registry, request.cell, known)
    name, _, estimator = request.estimator.partition(":")
    other = registry.cell(name)
    if (other.dataset_fingerprint, other.recipe) != (source.dataset_fingerprint, source.recipe):
        raise MemregError(f"estimator={request.estimator} is a cell of another data set or recipe")
    return registry.scores(name, estimator or None)
