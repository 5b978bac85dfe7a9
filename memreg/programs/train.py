"""`memreg train`: train the members of one cell."""

from typing import Any

import click

from memreg import options
from memreg.engines import Resources
from memreg.programs import Training, show_study
from memreg.questions.train import Request, run
from memreg.show.terminal import Reporter


@click.command(name="train", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
@options.fields_of(options.CELL_FIELDS)
def train(request: Request, training: Training, resources: Resources, fields: dict[str, Any]) -> None:
    """Train the members of one cell, and score it."""
    with Reporter() as progress:
        outcome = run(request, fields, training.where(resources), progress)
    show_study(outcome, outcome.study)
