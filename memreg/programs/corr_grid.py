"""`memreg corr_grid`: train a grid of cells, and correlate memorization with test accuracy."""

import click

from memreg import options
from memreg.requests.corr_grid import Request
from memreg.requests.training import Training
from memreg.resources import Resources


@click.command(name="corr_grid", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def corr_grid(request: Request, training: Training, resources: Resources) -> None:
    """Train a grid of cells, and correlate memorization with test accuracy over them."""
    from memreg.programs.shown import show_study, where
    from memreg.questions.corr_grid import run
    from memreg.show.terminal import Reporter

    with Reporter() as progress:
        outcome = run(request, where(training, resources), progress)
    show_study(outcome, progress)
