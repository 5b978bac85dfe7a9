"""The bodies that entry points share: run a study, show it."""

from pathlib import Path
from typing import Any

from mlflow import get_tracking_uri

from memreg import terminal
from memreg.analyses.conclusions import in_words
from memreg.analyses.neighbours import neighbours_of
from memreg.data.name import canonical, parse
from memreg.engines import Resources, engine
from memreg.engines.job import resolve_device, resolve_loader
from memreg.errors import MemregError
from memreg.grid import Grid
from memreg.leave_one_out import Request, run_leave_one_out
from memreg.registry import Registry
from memreg.study import Outcome, run_study


def train_and_show(grid: Grid, study: str | None, values: dict[str, Any]) -> Outcome:
    """Run a grid as a study with the values of `options.resource_options`, and print what came of it."""
    with terminal.Reporter() as reporter:
        outcome = run_study(grid, study=study or grid.name, reporter=reporter, **_where(values))
    terminal.show_cells(outcome.cells)
    if outcome.correlation is not None:
        terminal.say(in_words(outcome.correlation))
    terminal.say(terminal.ui_hint(get_tracking_uri(), outcome.experiment_id, study or grid.name))
    return outcome


def with_neighbours(fields: dict[str, Any]) -> dict[str, Any]:
    """Cell fields with the groups of neighbours that `neighbours` names: a cell's, or a file's."""
    if "neighbours" not in fields:
        return fields
    registry, named = Registry(), fields["neighbours"]
    groups = neighbours_of(named, registry)
    if not Path(named).is_file() and registry.cell(named).dataset != canonical(*parse(fields["dataset"])):
        raise MemregError(f"neighbours={named} is a cell of another data set than {fields['dataset']}")
    return fields | {"neighbours": groups}


def leave_one_out_and_show(request: Request, study: str, values: dict[str, Any]) -> None:
    """Leave-one-out as a study, and what came of it."""
    with terminal.Reporter() as reporter:
        truth = run_leave_one_out(request, study=study, reporter=reporter, **_where(values))
    terminal.show_cells(truth.cells)
    terminal.say(truth.in_words())
    terminal.say(terminal.ui_hint(get_tracking_uri(), truth.experiment_id, study))


def _where(values: dict[str, Any]) -> dict[str, Any]:
    """Engine, resources and data directory from the values of `options.resource_options`."""
    return {
        "engine": engine(values["engine"] or "local"),
        "resources": Resources(
            workers=values["workers"] or 0,
            threads=values["threads"] or 1,
            device=resolve_device(values["device"] or "auto"),
            loader=resolve_loader(values["loader"] or "memory"),
            wait=values["wait"] or 0,
        ),
        "data_dir": values["data_dir"],
    }
