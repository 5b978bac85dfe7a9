"""Which memory format a network of another's can be trained in, tried on two images.

Channels last is the fastest on a CPU. Some architectures reshape by `view`, which then does not fit: they are
trained in torch's own format.
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from memreg import models
from memreg.errors import MemregError
from memreg.models.layouts import TIMM
from memreg.user_code import is_code

FORMATS = (torch.channels_last, torch.contiguous_format)


@functools.lru_cache(maxsize=64)
def memory_format(name: str, image_shape: tuple[int, int, int], classes: int) -> torch.memory_format:
    """The first format in which a step of training goes through; memreg's own models take any. Draws nothing
    from torch's random stream.

    Raises `MemregError` where none does. torch's meta device would not tell: its strides are not a CPU's.
    """
    if not name.startswith(TIMM) and not is_code(name):
        return FORMATS[0]
    refusal = ""
    with torch.random.fork_rng(devices=[]):
        for form in FORMATS:
            network = in_format(models.build(name, image_shape, classes), form).train()
            images = torch.zeros(2, *image_shape).to(memory_format=torch.channels_last)
            try:
                loss = F.cross_entropy(network(images), torch.arange(2) % classes)
                torch.autograd.grad(loss, [p for p in network.parameters() if p.requires_grad])
            except Exception as error:  # whatever a thousand architectures may raise
                refusal = refusal or str(error).partition("\n")[0] or type(error).__name__
            else:
                return form
    raise MemregError(f"{name} cannot be trained on {'x'.join(map(str, image_shape))} images: {refusal}")


def in_format(network: nn.Module, form: torch.memory_format) -> nn.Module:
    """The network with weights in this format; images, which come with channels last, are put into it."""
    if form == torch.contiguous_format:
        network.register_forward_pre_hook(lambda _, given: (given[0].contiguous(), *given[1:]))
    return network.to(memory_format=form)
