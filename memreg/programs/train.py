"""`memreg train`: train the members of one cell."""

from typing import Any

import click

from memreg import options
from memreg.requests.train import Request
from memreg.requests.training import Training
from memreg.resources import Resources


@click.command(name="train", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
@options.fields_of(options.CELL_FIELDS, required=False)
def train(request: Request, training: Training, resources: Resources, fields: dict[str, Any]) -> None:
    """Train the members of one cell, and score it."""
    request.check(fields)
    from memreg.programs.shown import show_study, where
    from memreg.questions.train import run
    from memreg.show.terminal import Reporter

    with Reporter() as progress:
        outcome = run(request, fields, where(training, resources), progress)
    show_study(outcome, progress)
