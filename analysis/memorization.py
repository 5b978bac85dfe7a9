"""`mlflow run . -e memorization`: recompute a cell's scores from stored predictions alone."""

import click

from memreg import options
from memreg.questions.memorization import log_memorization, rescore, with_scores
from memreg.registry import Registry, Store
from memreg.registry.reader import scores_name
from memreg.registry.store import ended
from memreg.scoring.better_scores import scores_by
from memreg.show import terminal


@click.command()
@click.option("--cell", required=True, help="A cell's hash, the head of it, or its run id.")
@click.option(
    "--estimator", type=options.TEXT, help="peers, extrapolation, gaussian, shrunk, leave_one_out; or none."
)
@click.option("--neighbours", type=options.TEXT, help="Of peers: groups, a cell, or FILE.json.")
def memorization(cell: str, estimator: str | None, neighbours: str | None) -> None:
    registry, store = Registry(), Store()
    result = rescore(registry, cell)
    if estimator:
        result = with_scores(result, estimator, scores_by(estimator, registry, cell, neighbours))
        scored = store.run(registry.cell_run(cell).info.run_id)
        scored.artifacts.put(scores_name(estimator), result.scores.to_parquet)
    with ended(store.open_run("analysis", f"memorization of {cell}", {})) as run:
        log_memorization(run, result)
    terminal.say(result.in_words())


if __name__ == "__main__":
    options.run(memorization)
