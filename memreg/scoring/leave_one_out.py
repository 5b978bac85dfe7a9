"""Leave-one-out scores from stored cells."""

from collections.abc import Collection, Mapping

import pandas as pd

from memreg.cell import Cell
from memreg.design import LeaveGroupOut, LeaveOneOut, LeaveOut
from memreg.errors import MemregError
from memreg.estimators.counts import Counts, Floats, half
from memreg.estimators.leave_one_out import leave_one_out
from memreg.questions.memorization import score_table
from memreg.registry import Registry
from memreg.registry.reader import MEMBERS, labels
from memreg.scoring.tallies import COLUMNS, tally_shards


def truth_counts(
    registry: Registry, cell: Cell, members: Mapping[str, Collection[int]] | None = None
) -> Counts:
    """Counts of Equation 1, shapes [n_train], for a leave-out cell and the cell on everything beside it.

    members: by cell hash, those that count; all by default.
    """
    a, b = (
        tally_shards(
            registry.shards(c.hash, COLUMNS),
            labels(registry.examples(c.hash)),
            members=members[c.hash] if members else None,
        ).total
        for c in (everything(cell), cell)
    )
    return leave_one_out(a, b)


def truth_scores(registry: Registry, cell: str) -> pd.DataFrame:
    """Scores of the targets by leave-one-out, in the columns of scores.parquet; NaN for all others."""
    what = registry.cell(cell)
    examples = registry.examples(cell)
    train_labels = examples.loc[examples["split"] == "train", "label"].to_numpy()
    table = score_table(truth_counts(registry, what), train_labels)
    table.attrs[MEMBERS] = {c.hash: registry.members(c.hash) for c in (what, everything(what))}
    return table


def leave_out_design(cell: Cell) -> LeaveOut:
    """The design of a leave-out cell; `MemregError` for any other cell."""
    if not isinstance(cell.design, LeaveOneOut | LeaveGroupOut):
        raise MemregError(
            f"cell {cell.hash[:12]} is of design {cell.design.kind}, not leave_one_out or leave_group_out: "
            "`mlflow run . -e leave_one_out` trains one"
        )
    return cell.design


def everything(cell: Cell) -> Cell:
    """The cell that gives the first term of Equation 1 for a leave-out cell's targets."""
    return cell.with_design(leave_out_design(cell).everything)


def in_halves(registry: Registry, cell: str) -> tuple[Counts, Counts]:
    """Counts over the first and over the second half of a cell's members, shapes [n_train]."""
    design = registry.cell(cell).design
    shards = registry.shards(cell, COLUMNS)
    sums = tally_shards(shards, labels(registry.examples(cell)), lambda m: half(design.block(m)))
    if len(sums.block) < 2:
        raise MemregError(
            f"cell {cell} has one block of members, which has no halves to choose on and to estimate on: "
            "train more members"
        )
    return sums.counts.each(lambda a: a[0]), sums.counts.each(lambda a: a[1])


def first_half_scores(registry: Registry, cell: str) -> Floats:
    """Feldman & Zhang's scores from the first half of a cell's members, shape [n_train]: to choose by."""
    counts = in_halves(registry, cell)[0]
    return counts.included_accuracy - counts.excluded_accuracy
