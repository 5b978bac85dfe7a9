"""`memreg correlation`: recompute the correlation of a study, or of several."""

import click

from memreg import options
from memreg.requests.correlation import Request


@click.command(name="correlation", context_settings=options.SETTINGS)
@options.asking(Request)
def correlation(request: Request) -> None:
    """Correlate memorization with test accuracy over the cells of a study, or of several."""
    from memreg.programs.shown import keep_and_show
    from memreg.questions.correlation import run
    from memreg.registry import Registry

    keep_and_show(run(request, Registry()), f"correlation of {request.study}")
