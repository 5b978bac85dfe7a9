"""`memreg corr_grid`: train a grid of cells, and correlate memorization with test accuracy."""

import click

from memreg import options
from memreg.engines import Resources
from memreg.programs import Training, show_study
from memreg.questions.corr_grid import Request, run
from memreg.show.terminal import Reporter


@click.command(name="corr_grid", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def corr_grid(request: Request, training: Training, resources: Resources) -> None:
    """Train a grid of cells, and correlate memorization with test accuracy over them."""
    with Reporter() as progress:
        outcome = run(request, training.where(resources), progress)
    show_study(outcome, outcome.study)
