"""`memreg cells` and `memreg scores`: what the registry holds, as tables or CSV."""

import click

from memreg import options
from memreg.registry import Registry
from memreg.show import terminal


@click.command()
@click.option("--study", help="Name or run id; default: every complete cell.")
@click.option("--csv", is_flag=True, help="All columns, as CSV.")
@options.TRACKING
def cells(study: str | None, csv: bool, tracking_uri: str | None) -> None:
    """One line per cell."""
    table = Registry(tracking_uri).cells(study)
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
    elif table.empty:
        click.echo("no complete cells yet: `memreg corr_grid` trains 19")
    else:
        terminal.show_cells(table)


@click.command()
@click.argument("cell")
@click.option("--top", default=20, type=click.IntRange(min=1), help="Rows, highest scores first.")
@click.option("--csv", is_flag=True, help="All examples in their order, as CSV.")
@options.TRACKING
def scores(cell: str, top: int, csv: bool, tracking_uri: str | None) -> None:
    """Memorization scores of CELL: its hash, the head of it, or its run id."""
    table = Registry(tracking_uri).scores(cell)
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        click.echo(table.nlargest(top, "score").to_string(index=False, float_format="%.3f"))
