"""`mlflow run . -e correlation`: recompute a study's correlation, or that of several, from the registry
alone."""

import click

from memreg import options
from memreg.questions.correlation import HEADLINES, correlate, log_correlation
from memreg.registry import Registry, Store
from memreg.registry.store import ended
from memreg.show import terminal
from memreg.show.conclusions import in_words


@click.command()
@click.option("--study", required=True, help="A study's name or run id; several, with commas between them.")
@click.option("--statistic", type=options.TEXT, help="Of memorization; default: memorized_fraction/0.25.")
def correlation(study: str, statistic: str | None) -> None:
    studies = [name.strip() for name in study.split(",")]
    result = correlate(Registry(), studies, statistic or HEADLINES[0])
    with ended(Store().open_run("analysis", f"correlation of {study}", {})) as run:
        log_correlation(run, result)
        run.log(note=in_words(result))
    terminal.console().print(in_words(result), markup=False, highlight=False)


if __name__ == "__main__":
    options.run(correlation)
