"""`memreg cells` and `memreg scores`: what the registry holds, as tables or CSV."""

from typing import TYPE_CHECKING

import click

from memreg import options

if TYPE_CHECKING:
    import pandas as pd

    from memreg.registry import Registry

SERVING = ("all", "fixed", "leave_one_out", "leave_group_out", "removal")
"""Designs of the members of leave-one-out and of marginal utility."""


@click.command()
@click.option("--study", help="Name or run id; default: every complete cell.")
@click.option("--all", "everything", is_flag=True, help="Also cells that only serve a search or an analysis.")
@click.option("--csv", is_flag=True, help="All cells with all columns, as CSV.")
@options.TRACKING
def cells(study: str | None, everything: bool, csv: bool, tracking_uri: str | None) -> None:
    """One line per cell.

    Without --study, cells that a search tried and did not choose, and those of leave-one-out and of marginal
    utility, are counted and not listed.
    """
    from memreg.registry import Registry
    from memreg.show import terminal

    registry = Registry(tracking_uri)
    table = registry.cells(study)
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
        return
    if table.empty:
        click.echo("no complete cells yet: `memreg corr_grid` trains 19")
        return
    shown = table if study or everything else table[~serving(registry, table)]
    if not shown.empty:
        terminal.show_cells(shown)
    if hidden := len(table) - len(shown):
        click.echo(f"{hidden} more cells only serve a search or an analysis: --all lists them")


def serving(registry: "Registry", table: "pd.DataFrame") -> "pd.Series[bool]":
    """Which cells only serve a search or an analysis. table: as `Registry.cells` gives it."""
    rejects = registry.cells(where="tags.`memreg.target` = 'none'", columns=())["run_id"]
    return table["design"].isin(SERVING) | table["run_id"].isin(rejects)


@click.command()
@click.argument("cell")
@click.option("--top", default=20, type=click.IntRange(min=1), help="Rows, highest scores first.")
@click.option("--estimator", help="Scores by another estimator, once memreg memorization has computed them.")
@click.option("--csv", is_flag=True, help="All examples in their order, as CSV.")
@options.TRACKING
def scores(cell: str, top: int, estimator: str | None, csv: bool, tracking_uri: str | None) -> None:
    """Memorization scores of CELL: its hash, the head of it, or its run id.

    Where the data set has them, with the class's name (source_label) and the image's file.
    """
    from memreg.registry import Registry
    from memreg.show import terminal

    found = Registry(tracking_uri).cell(cell)
    table = found.scores(estimator)
    if csv:
        click.echo(found.described(table).to_csv(index=False), nl=False)
    else:
        terminal.show_scores(found.described(table.nlargest(top, "score")))
