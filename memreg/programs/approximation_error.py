"""`memreg approximation_error`: estimates of scores against leave-one-out's."""

import click

from memreg import options
from memreg.programs import keep_and_show
from memreg.questions.approximation_error import Request, run
from memreg.registry import Registry


@click.command(name="approximation_error", context_settings=options.SETTINGS)
@options.asking(Request)
def approximation_error(request: Request) -> None:
    """Compare estimates of memorization scores with leave-one-out's."""
    keep_and_show(run(request, Registry()), f"approximation error of {request.subset_cell}")
