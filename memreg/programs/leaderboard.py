"""`memreg leaderboard`: which cheap stand-ins for memorization scores are worth their networks."""

import click

from memreg import options
from memreg.requests.leaderboard import Request
from memreg.requests.training import Training
from memreg.resources import Resources

TRACED = 100
"""Members that keep a trace, at most, where it is not said."""


@click.command(name="leaderboard", context_settings=options.SETTINGS)
@options.asking(Request, Training, Resources)
def leaderboard(request: Request, training: Training, resources: Resources) -> None:
    """Judge cheap stand-ins for memorization scores against leave-one-out.

    Traces are kept by as many networks as the largest of --networks that is --trace (by default 100) or less,
    and features by ten of the pilots of spread and candidates.
    """
    from memreg.programs.shown import show_study, where
    from memreg.questions.leaderboard import run
    from memreg.show.terminal import Reporter
    from memreg.tracing import Tracing

    tracing = Tracing.by(training.trace or TRACED, training.checkpoints, training.observers)
    with Reporter() as progress:
        untraced = training.model_copy(update={"trace": 0, "observers": ""})
        outcome = run(request, tracing, where(untraced, resources), progress)
    show_study(outcome, progress)
