"""`memreg search`: recipes that fill a range of test accuracy evenly, or the best one."""

import click

from memreg import options
from memreg.requests.search import Request
from memreg.requests.training import Training
from memreg.resources import Resources


@click.command(name="search", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def search(request: Request, training: Training, resources: Resources) -> None:
    """Look for recipes that fill a range of test accuracy evenly, or for the best one."""
    from memreg.programs.shown import show_links, where
    from memreg.questions.search import run
    from memreg.show import terminal

    with terminal.TrialReporter() as progress:
        outcome = run(request, where(training, resources), progress)
    terminal.show_answer(outcome.said, len(progress.warnings))
    if outcome.answer.progress is None:
        terminal.show_ends(outcome.answer.table)
    else:
        terminal.show_targets(outcome.answer.targets)
    show_links(outcome)
