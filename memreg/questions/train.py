"""`-e train`: train the members of one cell."""

from collections.abc import Mapping
from typing import Any

from memreg.data.name import canonical, parse
from memreg.errors import MemregError
from memreg.grid import Grid, plan_cell
from memreg.questions.corr_grid import run_grid
from memreg.questions.correlation import Correlated
from memreg.registry import Registry
from memreg.requests.train import Request
from memreg.scoring.neighbours import Groups, found_in
from memreg.studies.progress import Progress
from memreg.studies.study import Outcome, Where


def run(
    request: Request, cell: Mapping[str, Any], where: Where, progress: Progress
) -> Outcome[Correlated | None]:
    """Train what is missing of a cell, and score it. cell: fields of its recipe and design."""
    fields = {"dataset": request.dataset, "members": request.members, **cell}
    named = fields.get("neighbours")
    if named and not named.endswith(".json"):
        fields["neighbours"] = _found_in(named, request.dataset, Registry(where.tracking_uri))
    grid = Grid("train", "One cell.", (plan_cell(fields, "train"),))
    return run_grid(grid, request.study, where, progress)


def _found_in(named: str, dataset: str, registry: Registry) -> Groups:
    """Groups of neighbours that are found in a cell of the same data set."""
    cell = registry.cell(named)
    if cell.cell.dataset != canonical(*parse(dataset)):
        raise MemregError(f"neighbours={named} is a cell of another data set than {dataset}")
    return found_in(cell)
