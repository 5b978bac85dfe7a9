"""`memreg remove`: take a cell out of a study."""

import click


@click.command()
@click.argument("cell")
@click.option("--study", required=True, help="Name or run id of the study.")
def remove(cell: str, study: str) -> None:
    """Take CELL out of a study, and conclude the study anew; the cell itself stays in the registry."""
    from memreg.programs.shown import show_study, where
    from memreg.questions.remove import take_out
    from memreg.requests.training import Training
    from memreg.resources import Resources
    from memreg.show.terminal import Reporter

    with Reporter() as progress:
        outcome = take_out(cell, study, where(Training(), Resources()), progress)
    show_study(outcome, progress)
