"""`memreg corr_grid`: train a grid of cells, and correlate memorization with test accuracy over them."""

from memreg.grid import Grid, check_name, load_grid
from memreg.questions.correlation import Correlated, correlated_where_possible
from memreg.requests.corr_grid import Request
from memreg.studies.progress import Progress
from memreg.studies.resolved import resolve
from memreg.studies.study import Outcome, Where, open_study


def run(request: Request, where: Where, progress: Progress) -> Outcome[Correlated | None]:
    """Train what is missing of a grid, score every cell, correlate, and log it all.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    grid = load_grid(request.grid, request.members)
    return run_grid(grid, request.study or grid.name, where, progress)


def run_grid(grid: Grid, study: str, where: Where, progress: Progress) -> Outcome[Correlated | None]:
    """The same, of a grid that is no file."""
    check_name(study, "study")
    resolved = resolve(grid.cells, where.data_dir)
    with open_study(grid, resolved, study, where, progress) as opened:
        opened.train()
        table = opened.table()
        correlated = correlated_where_possible(opened.registry, table)
        return opened.conclude(table, correlated)
