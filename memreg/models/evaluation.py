"""A network in evaluation for a while, as between two steps of its training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation(network: nn.Module) -> Iterator[None]:
    """In evaluation here; afterwards every part of it is as it was, also those that its author keeps out of
    training."""
    was = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, training in was:
            part.training = training
