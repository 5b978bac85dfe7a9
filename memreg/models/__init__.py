"""Networks by name: the paper's, small ones of the same families, and any of timm's, untrained.

One file per family, each with one table and one constructor. Weights come from torch's global
random stream alone: seed it, and the same name gives the same network to the bit.
"""

from torch import nn

from memreg.errors import MemregError
from memreg.models import resnet, vgg, vit
from memreg.models.from_timm import PREFIX, from_timm
from memreg.models.unknown import unknown
from memreg.named import called, is_code

_CONSTRUCTORS = {
    **dict.fromkeys(vgg.LAYOUTS, vgg.vgg),
    **dict.fromkeys(resnet.LAYOUTS, resnet.resnet),
    **dict.fromkeys(vit.LAYOUTS, vit.vit),
}


def names() -> list[str]:
    """Every name that `build` knows, but for `timm:NAME` and package.module:function."""
    return list(_CONSTRUCTORS)


def build(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained network: images [n, *image_shape] -> logits [n, classes].

    `image_shape` is (channels, height, width). Raises MemregError for an unknown name, and for
    images that the network cannot take.
    """
    if is_code(name):
        return _of_the_user(name, image_shape, classes)
    if name.startswith(PREFIX):
        return from_timm(name, image_shape, classes)
    if name not in _CONSTRUCTORS:
        listing = (
            f"models are {', '.join(_CONSTRUCTORS)}, {PREFIX}NAME for any of timm's, and "
            "package.module:function for your own"
        )
        raise unknown(name, _CONSTRUCTORS, listing)
    return _CONSTRUCTORS[name](name, image_shape, classes)


def _of_the_user(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    network = called("model", name, image_shape, classes)
    if not isinstance(network, nn.Module):
        raise MemregError(
            f"model {name}: returned {type(network).__name__}: it must return a torch.nn.Module"
        )
    return network


def parameters(module: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
