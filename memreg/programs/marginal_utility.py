"""`memreg marginal_utility`: what removing memorized examples does to test accuracy."""

import click

from memreg import options
from memreg.engines import Resources
from memreg.programs import Training, show_link
from memreg.questions.marginal_utility import Request, run
from memreg.show import terminal


@click.command(name="marginal_utility", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def marginal_utility(request: Request, training: Training, resources: Resources) -> None:
    """Remove memorized examples, and see what that does to test accuracy."""
    with terminal.Reporter() as progress:
        outcome = run(request, training.where(resources), progress)
    terminal.show_arms(outcome.answer.table)
    terminal.say(outcome.answer.in_words())
    show_link(outcome.experiment_id, outcome.study)
