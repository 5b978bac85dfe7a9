"""`mlflow run . -e correlation`: recompute a study's correlation from the registry alone."""

import click

from memreg import options, terminal
from memreg.analyses.correlation import correlate, in_words, log_correlation
from memreg.registry import Registry, Store
from memreg.registry.store import ended


@click.command()
@click.option("--study", required=True, help="A study's name or run id.")
def correlation(study: str) -> None:
    result = correlate(Registry(), study)
    with ended(Store().open_run("analysis", f"correlation of {study}", {})) as run:
        log_correlation(run, result)
        run.log(note=in_words(result))
    terminal.console().print(in_words(result), markup=False, highlight=False)


if __name__ == "__main__":
    options.run(correlation)
