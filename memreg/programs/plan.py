"""`memreg plan`: what a grid will cost."""

import click

from memreg import options
from memreg.requests.plan import Request
from memreg.resources import Resources


@click.command()
@options.asking(Request, Resources, without=("gpus",))
def plan(request: Request, resources: Resources) -> None:
    """What a grid will cost: members, images, storage, and time after a few steps of each model."""
    from memreg.studies.costs import costs

    for line in costs(request, resources):
        click.echo(line)
