"""What commands share: how they train, and how they end."""

from memreg.engines import engine
from memreg.requests.training import Training
from memreg.resources import Resources
from memreg.show import terminal
from memreg.studies.answer import Answer, log_analysis
from memreg.studies.study import Outcome, Where


def where(training: Training, resources: Resources) -> Where:
    """Make the engine ready. Raises `MemregError` where it cannot give what is asked for."""
    tracing = training.tracing
    return Where(engine(training.engine, resources), training.data_dir, wait=training.wait, tracing=tracing)


def show_study(outcome: Outcome[Answer | None]) -> None:
    """The cells of a study, and how it ended."""
    terminal.show_cells(outcome.cells)
    show_end(outcome)


def show_end(outcome: Outcome[Answer | None]) -> None:
    """What a study answers, in short, and where to see more."""
    if outcome.answer is not None:
        terminal.say(outcome.answer.in_short())
    terminal.show_links(outcome.see)


def keep_and_show(answer: Answer, title: str) -> None:
    """An analysis' answer, kept in a run of its own."""
    see = log_analysis(answer, title)
    terminal.say(answer.in_short())
    terminal.show_links(see)
