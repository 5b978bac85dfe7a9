"""`memreg marginal_utility`: what removing memorized examples does to test accuracy."""

import click

from memreg import options
from memreg.requests.marginal_utility import Request
from memreg.requests.training import Training
from memreg.resources import Resources


@click.command(name="marginal_utility", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def marginal_utility(request: Request, training: Training, resources: Resources) -> None:
    """Remove memorized examples, and see what that does to test accuracy."""
    from memreg.programs.shown import show_links, where
    from memreg.questions.marginal_utility import run
    from memreg.show import terminal

    with terminal.Reporter() as progress:
        outcome = run(request, where(training, resources), progress)
    terminal.show_answer(outcome.said, len(progress.warnings))
    terminal.show_arms(outcome.answer.table)
    show_links(outcome)
