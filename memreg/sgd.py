"""SGD with momentum and a triangular rate (section 5.1)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.sgd import sgd

from memreg.errors import MemregError
from memreg.recipe import Recipe


def triangle(steps: int, peak: float, warmup: float) -> NDArray[np.float64]:
    """Learning rate of each step, shape [steps]: 0 to `peak` in the first share `warmup`, then back to 0."""
    middle = (np.arange(steps) + 0.5) / steps
    if warmup == 0:
        return peak * (1 - middle)
    return peak * np.interp(middle, [0, warmup, 1], [0, 1, 0])


def rates_of(recipe: Recipe, steps: int) -> NDArray[np.float64]:
    """Learning rate of each step, shape [steps]; of an optimizer of the user's, its share of the peak."""
    peak = recipe.learning_rate if recipe.optimizer is None else 1.0
    return triangle(steps, peak, recipe.warmup)


def rates_on(device: torch.device, recipe: Recipe, steps: int) -> Tensor:
    """The same on a device, where a step reads its own: float64 on a CPU; on CUDA float32, which is all that
    torch's kernel reads there."""
    precision = torch.float64 if device.type == "cpu" else torch.float32
    return torch.from_numpy(rates_of(recipe, steps)).to(device, precision)


def step_of_sgd(
    parameters: Sequence[Tensor],
    velocities: Sequence[Tensor],
    gradients: Sequence[Tensor],
    recipe: Recipe,
    rate: Tensor,
) -> None:
    """One step of torch's SGD, in place, by its functional form. `velocities` are zero before the first.

    The optimizer class around it takes as long as a small layer at every step, and its first use
    imports torch's compiler, which takes a second in every process.
    """
    with torch.no_grad():
        sgd(
            list(parameters),
            list(gradients),
            list(velocities),
            fused=True,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


def same_layout(parameters: Sequence[Tensor], gradients: Sequence[Tensor], model: str) -> None:
    """Raise `MemregError` where a gradient lies in memory otherwise than its weight.

    On a CPU, fused SGD would update wrong elements without a word: `autograd.grad` promises no layout, as
    `backward` does.
    """
    for weight, gradient in zip(parameters, gradients, strict=True):
        if _strides(weight) != _strides(gradient):
            raise MemregError(
                f"model {model}: a weight of shape {tuple(weight.shape)} has strides {weight.stride()}, "
                f"its gradient {gradient.stride()}: make the weight contiguous, or so with channels last"
            )


def laid_out(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same gradients, each in memory as its weight: compiled passes lay them out as they like."""
    return tuple(
        gradient if _strides(weight) == _strides(gradient) else torch.empty_like(weight).copy_(gradient)
        for weight, gradient in zip(parameters, gradients, strict=True)
    )


def _strides(tensor: Tensor) -> list[int]:
    """Of the dimensions that have more than one element: the others have no say in where elements lie."""
    return [stride for stride, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1]
