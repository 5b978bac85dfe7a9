"""`memreg`: every entry point, queries of the registry, and exchange with others."""

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click

from memreg import options
from memreg.parameters import did_you_mean


class Program(NamedTuple):
    """A command: the module of `memreg.programs` that defines it, and what `memreg --help` says of it."""

    module: str
    help: str


SECTIONS: Mapping[str, Mapping[str, Program]] = {
    "Train": {
        "corr_grid": Program("corr_grid", "Train a grid, correlate memorization with accuracy."),
        "audit": Program("audit", "Find wrong labels in a folder of images."),
        "train": Program("train", "Train the members of one cell, and score it."),
        "search": Program("search", "Find recipes over a range of test accuracy, or the best."),
        "leave_one_out": Program("leave_one_out", "Score some examples to the letter of Equation 1."),
        "leaderboard": Program("leaderboard", "Judge cheap stand-ins for the scores."),
        "marginal_utility": Program("marginal_utility", "Test what memorized examples are good for."),
    },
    "Ask what is stored": {
        "correlation": Program("correlation", "Correlate memorization with test accuracy over cells."),
        "memorization": Program("memorization", "Compute a cell's scores from its predictions."),
        "approximation_error": Program("approximation_error", "Compare estimates with leave-one-out."),
        "influence": Program("influence", "Find the training examples that test examples need."),
        "datamodel": Program("datamodel", "Explain examples by what networks were trained on."),
        "privacy": Program("privacy", "Attack a cell's networks by membership inference."),
        "cells": Program("queries", "List the cells, a line each."),
        "scores": Program("queries", "Print the memorization scores of a cell."),
        "explore": Program("explore", "Look at images, scores and labels in a browser."),
        "report": Program("report", "Make the page of a study again."),
    },
    "Registry": {
        "plan": Program("plan", "Say what a grid will cost."),
        "remove": Program("remove", "Take a cell out of a study."),
        "import": Program("exchange", "Bring in an archive, or predictions of others."),
        "export": Program("exchange", "Write a cell's arrays, or a study's archive."),
        "relocate": Program("tracking", "Tell the registry that its directory was moved."),
        "db": Program("tracking", "Create or tune the tracking database."),
    },
}
PROGRAMS = {name: program for section in SECTIONS.values() for name, program in section.items()}


class OnDemand(click.Group):
    """A group whose commands are imported when they are run: `--help` needs neither torch nor MLflow."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PROGRAMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        name = cmd_name.replace("-", "_")
        if name not in PROGRAMS:
            hint = did_you_mean(name, PROGRAMS, "--help lists all")
            raise click.UsageError(f"there is no command {cmd_name}: {hint}")
        module = vars(import_module(f"memreg.programs.{PROGRAMS[name].module}"))
        return next(v for v in module.values() if isinstance(v, click.Command) and v.name == name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, program.help) for name, program in section.items()])


@click.command(cls=OnDemand, context_settings=options.SETTINGS)
@click.version_option(package_name="memreg", message="%(prog)s %(version)s")
def memreg() -> None:
    """Train networks, score what they memorize, and query the registry of all of them.

    `memreg COMMAND --help` explains a command's options; `mlflow run . -e COMMAND -P option=value` runs the
    same code.
    """


def main() -> None:
    options.run(memreg)
