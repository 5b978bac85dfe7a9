"""`memreg remove`: a study without one of its cells, concluded anew."""

from memreg.errors import MemregError
from memreg.estimators.over_cells import FEWEST
from memreg.grid import Grid
from memreg.questions.correlation import Correlated, correlated_where_possible, with_both
from memreg.registry import Registry
from memreg.studies.progress import Progress
from memreg.studies.study import Outcome, Where, open_study


def take_out(cell: str, study: str, where: Where, progress: Progress) -> Outcome[Correlated | None]:
    """Let a study hold this cell no more; the cell itself stays in the registry.

    Raises `MemregError` where the study does not hold it, and where too few cells would be left.
    """
    registry = Registry(where.tracking_uri)
    run = registry.study_run(study)
    name, grid = run.data.tags["memreg.study"], run.data.tags.get("memreg.grid", "train")
    run_id = _held(registry, cell, study)
    left = registry.cells(study)
    left = left[left["run_id"] != run_id]
    if left.empty or ("correlation.json" in _answers(registry, study) and len(with_both(left)) < FEWEST):
        raise MemregError(
            f"study {name} would keep {len(left)} cells, too few for what it says: delete it with "
            f"`mlflow runs delete --run-id {run.info.run_id}`, and ask for the cells again: they are stored"
        )
    described = Grid(grid, "Cells that were asked for under this name.", ())
    with open_study(described, [], name, where, progress) as kept:
        kept.let_go([run_id])
        table = kept.table()
        correlated = correlated_where_possible(kept.registry, table)
        return kept.conclude(table, correlated)


def _held(registry: Registry, cell: str, study: str) -> str:
    """The run of a cell that the study holds."""
    run_id, held = registry.cell(cell).run_id, registry.held(study)
    if run_id not in held:
        hashes = ", ".join(h[:8] for h in registry.rows(held, ())["cell"])
        raise MemregError(f"study {study} does not hold cell {cell}: it holds {hashes or 'none'}")
    return run_id


def _answers(registry: Registry, study: str) -> list[str]:
    return registry.artifacts(registry.study_run(study)).names("", ".json")
