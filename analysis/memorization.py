"""`mlflow run . -e memorization`: recompute a cell's scores from its stored predictions alone."""

import click

from memreg import options, terminal
from memreg.analyses.memorization import log_memorization, rescore
from memreg.registry import Registry, Store
from memreg.registry.store import ended


@click.command()
@click.option("--cell", required=True, help="A cell's hash, the head of it, or its run id.")
def memorization(cell: str) -> None:
    result = rescore(Registry(), cell)
    with ended(Store().open_run("analysis", f"memorization of {cell}", {})) as run:
        log_memorization(run, result)
    terminal.console().print(result.in_words(), markup=False, highlight=False)


if __name__ == "__main__":
    options.run(memorization)
