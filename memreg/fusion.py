"""A network's passes compiled into fewer kernels."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from memreg.exhaustion import out_of_memory
from memreg.recipe import Recipe
from memreg.recording import first_step
from memreg.static_step import StaticStep

log = logging.getLogger(__name__)

STEPS = 5000
"""Steps of a member from which on it pays to compile, which takes a minute or two for each cell."""
APART = 0.01
"""How far gradients, and changes of buffers, may be from those of more kernels in float32, as a share
of their length: several times what rounding does, and far below what any fault would do."""
ROUNDED, FARTHEST = 2, 0.5
"""In bf16 they may be so many times as far besides as those of more kernels in bf16 are, and never farther
than this: rounding alone takes a gradient of VGG-6 with 8 images 27 % from that in float32."""


def worth_it(recipe: Recipe, n_train: int) -> bool:
    """Whether a member is trained for long enough."""
    return recipe.epochs * n_train >= STEPS * recipe.batch_size


class Fusion:
    """Compiled once for all networks of a kind, whose weights are arguments: of one class torch compiles a
    few modules, and runs the others as they are without a word. One fusion is in use at a time: a new one
    lets go of what the last one compiled.

    Kernels are not timed against each other, which would choose the bits.
    """

    def __init__(self, network: nn.Module, precision: str, first: tuple[Any, ...]) -> None:
        """first: what `StaticStep.load` takes, of the member by which the passes are judged."""
        torch._dynamo.reset()
        self._network, self._precision, self._first = network, precision, first
        self._compiled: Callable[..., Tensor] | None = None
        self._sound: bool | None = None

    def put_into(self, step: StaticStep) -> bool:
        """Let a step take the fused passes; it is to be loaded anew. False, and it takes its own, where they
        cannot be made on this machine or give something else, of which a warning says why."""
        if self._sound is None:
            step.load(*self._first)
            why_not = self._try(step)
            self._sound = not why_not
            if why_not:
                log.warning("networks are trained as they are, not compiled: %s", why_not)
        step.forward = self._passes(step.network) if self._sound else step.network
        return self._sound

    def _try(self, step: StaticStep) -> str:
        """Why fused passes are not taken; "" where they are."""
        begun = step.copied()
        try:
            exact = self._exact(step, begun)
        except Exception as error:  # no room for it, or code that is for bf16 alone
            if self._precision == "float32":
                raise
            return f"a step in float32, by which they are judged, fails: {_first_line(error)}"
        rounded = exact if self._precision == "float32" else self._done(step, begun)
        try:
            step.forward = self._passes(step.network)
            found = self._done(step, begun)
        except Exception as error:  # whatever stands in a compiler's way
            if out_of_memory(error):
                raise
            return _first_line(error)
        finally:
            step.forward = step.network
        for a, b, c in zip(exact, rounded, found, strict=True):
            far, near = apart(a, c), apart(a, b)
            if not far <= min(APART + ROUNDED * near, FARTHEST):
                also = f" where rounding alone does {near:.0%}" if near else ""
                return f"a first step is another one, by {far:.0%}{also}"
        return ""

    def _exact(self, step: StaticStep, begun: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What a step of more kernels does in float32."""
        step.precision = "float32"
        try:
            return self._done(step, begun)
        finally:
            step.precision = self._precision

    def _done(self, step: StaticStep, begun: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What a step does: velocities, which are gradients then, and changes of buffers."""
        first_step(step, step, begun)
        changes = [(now - then).double() for now, then in zip(step.state, begun, strict=True)]
        return [v.double() for v in step.velocities], changes[len(list(step.network.parameters())) :]

    def _passes(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        if self._compiled is None:
            from torch._inductor import config

            config.deterministic = True
            given = partial(functional_call, self._network)
            self._compiled = torch.compile(given, dynamic=False, fullgraph=True)
        compiled, own = self._compiled, {**dict(network.named_parameters()), **dict(network.named_buffers())}
        return lambda images: compiled(own, (images,))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """|a - b| / |a| over all of them; infinite where a value is no number."""
    between = sum(float((x - y).square().sum()) for x, y in zip(a, b, strict=True))
    length = sum(float(x.square().sum()) for x in a)
    if not between:
        return 0.0
    return float((between / length) ** 0.5) if between == between and length else float("inf")
