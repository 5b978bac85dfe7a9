"""What commands share: how they train, and how they end."""

from mlflow import get_tracking_uri

from memreg.engines import engine
from memreg.requests.training import Training
from memreg.resources import Resources
from memreg.show import terminal
from memreg.studies.answer import Answer, log_analysis
from memreg.studies.study import Outcome, Where


def where(training: Training, resources: Resources) -> Where:
    """Make the engine ready. Raises `MemregError` where it cannot give what is asked for."""
    return Where(engine(training.engine, resources), training.data_dir, wait=training.wait)


def show_study(outcome: Outcome[Answer | None], study: str) -> None:
    """The cells of a study, what they answer, and where to see more."""
    terminal.show_cells(outcome.cells)
    if outcome.answer is not None:
        terminal.say(outcome.answer.in_words())
    show_link(outcome.experiment_id, study)


def show_link(experiment_id: str, study: str) -> None:
    """Say where to see a study's cells in MLflow's UI."""
    terminal.say(terminal.ui_hint(get_tracking_uri(), experiment_id, study))


def keep_and_show(answer: Answer, title: str) -> None:
    """An analysis' answer, kept in a run of its own."""
    log_analysis(answer, title)
    terminal.say(answer.in_words())
