"""`memreg approximation_error`: estimates of scores against leave-one-out's."""

import click

from memreg import options
from memreg.requests.approximation_error import Request


@click.command(name="approximation_error", context_settings=options.SETTINGS)
@options.asking(Request)
def approximation_error(request: Request) -> None:
    """Compare estimates of memorization scores with leave-one-out's."""
    from memreg.programs.shown import keep_and_show
    from memreg.questions.approximation_error import run
    from memreg.registry import Registry

    keep_and_show(run(request, Registry()), f"approximation error of {request.subset_cell}")
