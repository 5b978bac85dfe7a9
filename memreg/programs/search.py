"""`memreg search`: recipes that fill a range of test accuracy evenly, or the best one."""

import click

from memreg import options
from memreg.engines import Resources
from memreg.programs import Training, show_link
from memreg.questions.search import Request, run
from memreg.show import terminal


@click.command(name="search", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def search(request: Request, training: Training, resources: Resources) -> None:
    """Look for recipes that fill a range of test accuracy evenly, or for the best one."""
    with terminal.TrialReporter() as progress:
        outcome = run(request, training.where(resources), progress)
    found = outcome.answer
    if found.progress is None:
        terminal.show_cells(found.table)
    else:
        terminal.show_targets(found.targets)
    terminal.say(found.in_words())
    show_link(outcome.experiment_id, outcome.study)
    terminal.say(f"trials: optuna-dashboard {found.storage}")
