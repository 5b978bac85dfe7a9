"""What commands share: how they train, and how they end: an answer, and where to see more, in ten lines."""

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


def show_study(outcome: Outcome[Answer | None], progress: terminal.Reporter) -> None:
    """What a study answers, two of its cells, and where to see the rest."""
    terminal.show_answer(outcome.said, len(progress.warnings))
    terminal.show_ends(outcome.cells)
    show_links(outcome)


def show_links(outcome: Outcome[Answer | None]) -> None:
    """Where to see a study's report, its first figure, and its cells."""
    several = len(outcome.cells) > terminal.SHOWN
    every = f"all {len(outcome.cells)}" if several else "or"
    listed = f"{outcome.see['cells']} ({every}: memreg cells --study {outcome.study})"
    terminal.show_links({**outcome.see, "cells": listed})


def keep_and_show(answer: Answer, title: str) -> None:
    """An analysis' answer, kept in a run of its own."""
    see = log_analysis(answer, title)
    terminal.show_answer(answer.in_short())
    terminal.show_links(see)
