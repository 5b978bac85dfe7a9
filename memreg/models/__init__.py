"""Networks by name: the paper's, small ones of the same families, and any of timm's, untrained.

One file per family, each with one constructor, and one table of all layouts; torch is imported when a network
is built. Weights come from torch's global random stream alone: seed it, and the same name gives the same
network to the bit.
"""

from typing import TYPE_CHECKING

from memreg.errors import MemregError
from memreg.models.layouts import RESNET, TIMM, VGG, VIT
from memreg.models.unknown import unknown
from memreg.user_code import called, is_code

if TYPE_CHECKING:
    from torch import nn


def names() -> list[str]:
    """Every name that `build` knows, but for `timm:NAME` and package.module:function."""
    return [*VGG, *RESNET, *VIT]


def check_name(name: str) -> None:
    """Raise `MemregError`, with what there is, for a name that is no model's. What timm has is not asked."""
    if not is_code(name) and not name.startswith(TIMM) and name not in names():
        listing = (
            f"models are {', '.join(names())}, {TIMM}NAME for any of timm's, and "
            "package.module:function for your own"
        )
        raise unknown(name, names(), listing)


def build(name: str, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
    """An untrained network: images [n, *image_shape] -> logits [n, classes].

    `image_shape` is (channels, height, width). Raises MemregError for an unknown name, and for
    images that the network cannot take.
    """
    check_name(name)
    if is_code(name):
        return _of_the_user(name, image_shape, classes)
    if name.startswith(TIMM):
        from memreg.models.from_timm import from_timm

        return from_timm(name, image_shape, classes)
    if name in VGG:
        from memreg.models.vgg import vgg

        return vgg(name, image_shape, classes)
    if name in RESNET:
        from memreg.models.resnet import resnet

        return resnet(name, image_shape, classes)
    from memreg.models.vit import vit

    return vit(name, image_shape, classes)


def _of_the_user(name: str, image_shape: tuple[int, int, int], classes: int) -> "nn.Module":
    from torch import nn

    network = called("model", name, image_shape, classes)
    if not isinstance(network, nn.Module):
        raise MemregError(
            f"model {name}: returned {type(network).__name__}: it must return a torch.nn.Module"
        )
    return network


def parameters(module: "nn.Module") -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
