"""The bodies that entry points share: run a study, show it."""

from typing import Any

from mlflow import get_tracking_uri

from memreg import terminal
from memreg.analyses.conclusions import in_words
from memreg.engines import Resources, engine
from memreg.engines.job import resolve_device
from memreg.grid import Grid
from memreg.study import Outcome, run_study


def train_and_show(grid: Grid, study: str | None, values: dict[str, Any]) -> Outcome:
    """Run a grid as a study with the values of `options.resource_options`, and print what came of it."""
    resources = Resources(
        workers=values["workers"] or 0,
        threads=values["threads"] or 1,
        device=resolve_device(values["device"] or "auto"),
    )
    with terminal.Reporter() as reporter:
        outcome = run_study(
            grid,
            study=study or grid.name,
            engine=engine(values["engine"] or "local"),
            resources=resources,
            reporter=reporter,
            data_dir=values["data_dir"],
        )
    out = terminal.console()
    terminal.show_cells(outcome.cells)
    if outcome.correlation is not None:
        out.print("\n" + in_words(outcome.correlation), markup=False, highlight=False)
    hint = terminal.ui_hint(get_tracking_uri(), outcome.experiment_id, study or grid.name)
    out.print("\n" + hint, markup=False, highlight=False, soft_wrap=True)
    return outcome
