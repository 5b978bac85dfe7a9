"""A step recorded as one CUDA graph, so that its kernels are launched at once and not one by one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from memreg.exhaustion import out_of_memory
from memreg.static_step import StaticStep

WARMUP = 3
"""Steps before one is recorded: libraries that begin at their first use cannot do so in a recording."""


def recorded(step: StaticStep, on: torch.cuda.Stream) -> Callable[[], None]:
    """`step`, which is loaded, as one CUDA graph; or `step` itself where it cannot be recorded, or where what
    was recorded does not give its bits."""
    begun = step.copied()
    try:
        for _ in range(WARMUP):
            step.begin()
            step()
        expected = _after(step, step, begun)  # now: its memory is free again when the graph takes its own
        on.synchronize()
        graph = torch.cuda.CUDAGraph()
        step.begin()
        with torch.cuda.graph(graph, stream=on):
            step()
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        return step
    same = all(torch.equal(a, b) for a, b in zip(expected, _after(step, graph.replay, begun), strict=True))
    return graph.replay if same else step


def _after(step: StaticStep, run: Callable[[], None], begun: Sequence[Tensor]) -> list[Tensor]:
    """Weights, buffers and velocities after the first step from here, as bytes. Velocities are gradients
    then, which weights have rounded away at so small a rate."""
    first_step(step, run, begun)
    found = [*step.state, *step.velocities]
    return [tensor.clone().flatten().view(torch.uint8) for tensor in found]


def first_step(step: StaticStep, run: Callable[[], None], begun: Sequence[Tensor]) -> None:
    """Put back what the step's network began with, and run its first step."""
    with torch.no_grad():
        for mine, given in zip(step.state, begun, strict=True):
            mine.copy_(given)
    step.begin()
    run()
