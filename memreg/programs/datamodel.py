"""`memreg datamodel`: margins as a linear function of the training set, from the registry alone."""

import click

from memreg import options
from memreg.requests.datamodel import Request


@click.command(name="datamodel", context_settings=options.SETTINGS)
@options.asking(Request)
def datamodel(request: Request) -> None:
    """Fit how sure networks are of some examples on which examples they were trained on.

    Beside the fit's linear datamodeling score stand that of counting, and the ceiling that noise allows.
    """
    from memreg.programs.shown import keep_and_show
    from memreg.questions.datamodel import run
    from memreg.registry import Registry

    answer = run(request, Registry())
    keep_and_show(answer, f"datamodel of {answer.cells[0][:8]}")
