"""`memreg memorization`: recompute a cell's scores, from the registry alone."""

import click

from memreg import options
from memreg.requests.memorization import Request


@click.command(name="memorization", context_settings=options.SETTINGS)
@options.asking(Request)
def memorization(request: Request) -> None:
    """Compute a cell's memorization scores from its stored predictions."""
    from memreg.programs.shown import keep_and_show
    from memreg.questions.memorization import run
    from memreg.registry import Registry

    answer = run(request, Registry())
    keep_and_show(answer, f"memorization of {answer.cells[0][:8]}")
