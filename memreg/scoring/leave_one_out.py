"""Leave-one-out scores from stored cells."""

from collections.abc import Collection, Mapping

import pandas as pd

from memreg.cell import Cell
from memreg.design import LeaveGroupOut, LeaveOneOut, LeaveOut
from memreg.errors import MemregError
from memreg.estimators.counts import Counts, Floats, half
from memreg.estimators.leave_one_out import leave_one_out
from memreg.estimators.scores import score_table
from memreg.members import tallied
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED
from memreg.registry.tables import MEMBERS


def leave_out_design(cell: Cell) -> LeaveOut:
    """The design of a leave-out cell; `MemregError` for any other cell."""
    if not isinstance(cell.design, LeaveOneOut | LeaveGroupOut):
        raise MemregError(
            f"cell {cell.hash[:12]} is of design {cell.design.kind}, not leave_one_out or leave_group_out: "
            "`memreg leave_one_out` trains one"
        )
    return cell.design


def undivided(cell: StoredCell) -> StoredCell:
    """The cell whose members leave out no target, which gives the first term of Equation 1 for `cell`."""
    return cell.registry.cell(cell.cell.with_design(leave_out_design(cell.cell).everything).hash)


def truth_counts(cell: StoredCell, members: Mapping[str, Collection[int]] | None = None) -> Counts:
    """Counts of Equation 1, shapes [n_train], for a leave-out cell and the undivided cell beside it.

    members: by cell hash, those that count; all by default.
    """
    whole, without = (
        one.tally(only=members[one.hash] if members else None).total for one in (undivided(cell), cell)
    )
    return leave_one_out(whole, without)


def truth_scores(cell: StoredCell) -> pd.DataFrame:
    """Scores of the targets by leave-one-out, in the columns of scores.parquet; NaN for all others."""
    table = score_table(truth_counts(cell), cell.labels)
    table.attrs[MEMBERS] = {one.hash: one.count for one in (cell, undivided(cell))}
    return table


def in_halves(cell: StoredCell) -> tuple[Counts, Counts]:
    """Counts over the first and over the second half of a cell's members, shapes [n_train]."""
    design = cell.cell.design
    sums = tallied(cell.shards(*COUNTED), cell.labels, lambda member: half(design.block(member)))
    if len(sums.block) < 2:
        raise MemregError(
            f"{cell} has one block of members, which has no halves to choose on and to estimate on: train "
            "more members"
        )
    return sums.counts.each(lambda a: a[0]), sums.counts.each(lambda a: a[1])


def first_half_scores(cell: StoredCell) -> Floats:
    """Feldman & Zhang's scores from the first half of a cell's members, shape [n_train]: to choose by."""
    return in_halves(cell)[0].score
