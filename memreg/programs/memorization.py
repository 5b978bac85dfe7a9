"""`memreg memorization`: recompute a cell's scores, from the registry alone."""

import click

from memreg import options
from memreg.programs import keep_and_show
from memreg.questions.memorization import Request, run
from memreg.registry import Registry


@click.command(name="memorization", context_settings=options.SETTINGS)
@options.asking(Request)
def memorization(request: Request) -> None:
    """Compute a cell's memorization scores from its stored predictions."""
    keep_and_show(run(request, Registry()), f"memorization of {request.cell}")
