"""`memreg influence`: which training examples help which test examples, from the registry alone."""

import click

from memreg import options
from memreg.requests.influence import Request


@click.command(name="influence", context_settings=options.SETTINGS)
@options.asking(Request)
def influence(request: Request) -> None:
    """Find which training examples help which test examples."""
    from memreg.programs.shown import keep_and_show
    from memreg.questions.influence import run
    from memreg.registry import Registry

    answer = run(request, Registry())
    keep_and_show(answer, f"influence of {answer.cells[0][:8]}")
