"""`memreg leave_one_out`: Equation 1 to the letter, for some targets."""

from typing import Any

import click

from memreg import options
from memreg.requests.leave_one_out import Request
from memreg.requests.training import Training
from memreg.resources import Resources


@click.command(name="leave_one_out", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
@options.fields_of(options.RECIPE_FIELDS)
def leave_one_out(request: Request, training: Training, resources: Resources, fields: dict[str, Any]) -> None:
    """Score some targets to the letter of Equation 1: leave them out, and train anew."""
    from memreg.programs.shown import show_study, where
    from memreg.questions.leave_one_out import run
    from memreg.show.terminal import Reporter

    with Reporter() as progress:
        outcome = run(request, fields, where(training, resources), progress)
    show_study(outcome, progress)
