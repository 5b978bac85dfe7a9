"""`memreg influence`: which training examples help which test examples, from the registry alone."""

import click

from memreg import options
from memreg.programs import keep_and_show
from memreg.questions.influence import Request, run
from memreg.registry import Registry


@click.command(name="influence", context_settings=options.SETTINGS)
@options.asking(Request)
def influence(request: Request) -> None:
    """Find which training examples help which test examples."""
    keep_and_show(run(request, Registry()), f"influence of {request.cell}")
