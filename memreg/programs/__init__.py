"""The bodies that entry points share: ask a question, show what is answered."""

from pathlib import Path

from mlflow import get_tracking_uri
from pydantic import Field

from memreg.asked import Asked
from memreg.engines import Resources, engine
from memreg.show import terminal
from memreg.studies.answer import Answer, log_analysis
from memreg.studies.study import Outcome, Where


class Training(Asked):
    """How an entry point trains, beside its resources."""

    engine: str = "local"
    """Where members run: local or ray."""
    wait: float = Field(0.0, ge=0)
    """Seconds to wait for cells that others are at work on; 0 stops instead."""
    data_dir: Path | None = None
    """Where data sets are; by default MEMREG_DATA_DIR, else ./data."""

    def where(self, resources: Resources) -> Where:
        """Make the engine ready. Raises `MemregError` where it cannot give what is asked for."""
        return Where(engine(self.engine, resources), self.data_dir, wait=self.wait)


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
