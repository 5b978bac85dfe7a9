"""`memreg plan`: what a grid will cost."""

import click

from memreg import options
from memreg.engines import Resources
from memreg.studies import costs


@click.command()
@options.asking(costs.Request, Resources, without=("gpus",))
def plan(request: costs.Request, resources: Resources) -> None:
    """What a grid will cost: members, images, storage, and time after a few steps of each model."""
    click.echo(costs.costs(request, resources))
