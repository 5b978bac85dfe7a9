"""`memreg remove`: take a cell out of a study."""

import click

from memreg.engines import Resources
from memreg.errors import MemregError
from memreg.estimators.over_cells import FEWEST
from memreg.grid import Grid
from memreg.programs import Training, show_study
from memreg.questions.correlation import correlated_where_possible, with_both
from memreg.registry import Registry
from memreg.show import notes
from memreg.show.terminal import Reporter
from memreg.studies.study import open_study


@click.command()
@click.argument("cell")
@click.option("--study", required=True, help="Name or run id of the study.")
def remove(cell: str, study: str) -> None:
    """Take CELL out of a study, and conclude the study anew; the cell itself stays in the registry."""
    registry = Registry()
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
    with (
        Reporter() as progress,
        open_study(described, [], name, Training().where(Resources()), progress) as kept,
    ):
        kept.let_go([run_id])
        table = kept.table()
        correlated = correlated_where_possible(kept.registry, table)
        note = notes.study(name, described, correlated.in_words() if correlated else None)
        outcome = kept.conclude(table, correlated, note)
    show_study(outcome, name)


def _held(registry: Registry, cell: str, study: str) -> str:
    """The run of a cell that the study holds."""
    run_id, held = registry.cell(cell).run_id, registry.held(study)
    if run_id not in held:
        hashes = ", ".join(h[:8] for h in registry.rows(held, ())["cell"])
        raise MemregError(f"study {study} does not hold cell {cell}: it holds {hashes or 'none'}")
    return run_id


def _answers(registry: Registry, study: str) -> list[str]:
    return registry.artifacts(registry.study_run(study)).names("", ".json")
