"""`mlflow run . -e approximation_error`: estimates of memorization scores against leave-one-out's."""

from pathlib import Path

import click

from memreg import options
from memreg.errors import MemregError
from memreg.questions.approximation_error import approximation_error, log_approximation_error
from memreg.questions.subpopulations import subpopulations
from memreg.registry import Registry, Store
from memreg.registry.store import ended
from memreg.show import figures, terminal


@click.command(name="approximation_error")
@click.option("--subset-cell", required=True, help="CELL[:ESTIMATOR], and more after commas.")
@click.option("--loo-cell", required=True, help="A cell of `-e leave_one_out`.")
@click.option("--dataset", type=options.TEXT, help="The cell's once more, if it is code of yours.")
@click.option("--data-dir", type=options.PATH, help="Default: MEMREG_DATA_DIR, else ./data.")
def approximation(subset_cell: str, loo_cell: str, dataset: str | None, data_dir: Path | None) -> None:
    registry = Registry()
    result = approximation_error(registry, subset_cell, loo_cell)
    name, tags = f"approximation error of {subset_cell}"[:200], {"memreg.cells": ",".join(result.cells)}
    with ended(Store().open_run("analysis", name, tags)) as run:
        log_approximation_error(run, result)
        try:
            figure = subpopulations(registry, result, data_dir, dataset)
        except MemregError as error:
            terminal.say(f"figures/subpopulations.png is left out: {error}")
        else:
            run.artifacts.put("figures/subpopulations.png", lambda path: figures.save(figure, path))
    terminal.say(result.in_words())


if __name__ == "__main__":
    options.run(approximation)
