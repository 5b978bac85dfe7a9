"""`memreg privacy`: membership inference on a cell's members, from the registry alone."""

import click

from memreg import options
from memreg.requests.privacy import Request


@click.command(name="privacy", context_settings=options.SETTINGS)
@options.asking(Request)
def privacy(request: Request) -> None:
    """Say how well each network's training examples can be told by membership inference.

    Each member is attacked with those of other blocks.
    """
    from memreg.programs.shown import keep_and_show
    from memreg.questions.privacy import run
    from memreg.registry import Registry

    answer = run(request, Registry())
    keep_and_show(answer, f"privacy of {answer.cells[0][:8]}")
