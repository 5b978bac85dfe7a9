"""The bodies that entry points share: run a study, show it."""

from pathlib import Path
from typing import Any

from mlflow import get_tracking_uri

from memreg.data.name import canonical, parse
from memreg.engines import Resources, engine
from memreg.errors import MemregError
from memreg.grid import Grid
from memreg.questions import marginal_utility
from memreg.questions.leave_one_out import Request, run_leave_one_out
from memreg.questions.search import Request as SearchRequest
from memreg.questions.search import run_search
from memreg.registry import Registry
from memreg.scoring.neighbours import neighbours_of
from memreg.show import terminal
from memreg.show.conclusions import in_words
from memreg.studies.study import Outcome, Where, run_study


def train_and_show(grid: Grid, study: str | None, values: dict[str, Any]) -> Outcome:
    """Run a grid as a study with the values of `options.resource_options`, and print what came of it."""
    with terminal.Reporter() as reporter:
        outcome = run_study(grid, study or grid.name, _where(values), reporter)
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
        truth = run_leave_one_out(request, study, _where(values), reporter)
    terminal.show_cells(truth.cells)
    terminal.say(truth.in_words())
    terminal.say(terminal.ui_hint(get_tracking_uri(), truth.experiment_id, study))


def marginal_utility_and_show(request: marginal_utility.Request, study: str, values: dict[str, Any]) -> None:
    """Marginal utility as a study, and what came of it."""
    with terminal.Reporter() as reporter:
        utility = marginal_utility.run_marginal_utility(request, study, _where(values), reporter)
    terminal.show_arms(utility.result.table)
    terminal.say(utility.result.in_words())
    terminal.say(terminal.ui_hint(get_tracking_uri(), utility.experiment_id, study))


def search_and_show(request: SearchRequest, study: str, values: dict[str, Any]) -> None:
    """A search as a study, and what came of it."""
    with terminal.TrialReporter() as reporter:
        found = run_search(request, study, _where(values), reporter)
    if found.progress is None:
        terminal.show_cells(found.cells)
    else:
        terminal.show_targets(found.targets)
    terminal.say(found.in_words())
    if found.correlation is not None:
        terminal.say(in_words(found.correlation))
    terminal.say(terminal.ui_hint(get_tracking_uri(), found.experiment_id, study))
    terminal.say(f"trials: optuna-dashboard {found.storage}")


def _where(values: dict[str, Any]) -> Where:
    """From the values of `options.resource_options`."""
    resources = Resources(
        workers=values["workers"] or 0,
        threads=values["threads"] or 1,
        device=values["device"] or "auto",
        loader=values["loader"] or "memory",
        gpus=values["gpus"] or 0.0,
    )
    trained = engine(values["engine"] or "local", resources)
    return Where(trained, resources, values["data_dir"], wait=values["wait"] or 0.0)
