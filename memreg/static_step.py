"""A training step whose tensors keep their places: it can be recorded once, as a CUDA graph, and run again
for every step of every member.

It reads the number of the step, the batch, the draws of augmentation and the learning rate on the device, and
takes no decision that depends on a value: nothing in it waits for the device. The numbers are those of
`training.fit`, to the bit.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memreg.data import augmentation
from memreg.data.augmentation import Draws
from memreg.data.batches import scale
from memreg.recipe import Recipe
from memreg.sgd import laid_out, rates_on, same_layout, step_of_sgd


def computing_in(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """What a forward pass of training runs in: "float32" or "bf16"."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


class StaticStep:
    """One step of a network, or of a stack of `networks` of them.

    The network maps images [networks * batch, channels, height, width] to logits [networks * batch, classes];
    those of a stack's first network come first.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        images: Tensor,
        labels: Tensor,
        steps: int,
        networks: int = 1,
    ) -> None:
        """images: uint8 [n_train, height, width, channels], labels: int64 [n_train], both on the device."""
        self.network = network.train()
        self.forward: Callable[[Tensor], Tensor] = self.network
        """What maps images to logits: the network, or what does the same in fewer kernels."""
        self.precision: str = recipe.precision
        self._recipe, self._images, self._labels, self._networks = recipe, images, labels, networks
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self.velocities = [torch.zeros_like(p) for p in self._parameters]
        self._rates = rates_on(images.device, recipe, steps)
        self._step = torch.zeros(1, dtype=torch.int64, device=images.device)
        self._order: Tensor | None = None
        self._draws: Draws | None = None

    @property
    def state(self) -> list[Tensor]:
        """All that a member's network consists of: weights and buffers."""
        return [*self.network.parameters(), *self.network.buffers()]

    def copied(self) -> list[Tensor]:
        """Its present values."""
        return [tensor.detach().clone() for tensor in self.state]

    def load(self, state: Sequence[Tensor], order: Tensor, draws: Draws | None) -> None:
        """Begin a member, or a stack of them: initial weights and buffers, the training examples of each
        batch, shape [steps, networks * batch], and the draws for their images in that order."""
        if self._order is None:
            device = self._images.device
            self._order = torch.empty_like(order, device=device)
            self._draws = draws and draws.each(partial(torch.empty_like, device=device))
        mine = [*self.state, self._order, *(self._draws.tensors if self._draws else [])]
        with torch.no_grad():
            for place, given in zip(mine, [*state, order, *(draws.tensors if draws else [])], strict=True):
                place.copy_(given, non_blocking=True)
        self.begin()

    def begin(self) -> None:
        """Back to the first step; weights stay as they are."""
        torch._foreach_zero_(self.velocities)
        self._step.zero_()

    def __call__(self) -> None:
        """The next step."""
        assert self._order is not None, "load comes first"
        images, labels = self._batch(self._order)
        with computing_in(self.precision, images.device):
            loss = F.cross_entropy(self.forward(images), labels) * self._networks
        gradients = torch.autograd.grad(loss, self._parameters)
        if self.forward is not self.network:
            gradients = laid_out(self._parameters, gradients)
        same_layout(self._parameters, gradients, self._recipe.model)
        step_of_sgd(self._parameters, self.velocities, gradients, self._recipe, self._now(self._rates))
        self._step += 1

    def _batch(self, order: Tensor) -> tuple[Tensor, Tensor]:
        rows = self._now(order)
        images = self._images.index_select(0, rows)
        if self._draws is not None:
            of_step = self._draws.each(lambda draws: self._now(draws.view(order.shape)))
            images = augmentation.apply(images, of_step)
        return scale(images), self._labels.index_select(0, rows)

    def _now(self, of_steps: Tensor) -> Tensor:
        """What a tensor of all steps has for this one; an index of Python's would wait for the device."""
        return of_steps.index_select(0, self._step)[0]
