"""VGG: stages of 3x3 convolutions, each closed by 2x2 max-pooling, then one fully connected layer.

Simonyan & Zisserman, https://arxiv.org/abs/1409.1556, with batch normalisation and, as in the
paper's appendix A.1, a single fully connected layer.
"""

from torch import nn

from memreg.errors import MemregError
from memreg.models.convolution import Convolution

LAYOUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "vgg3-w4": ((4,), (8,), (16,)),
    "vgg3-w8": ((8,), (16,), (32,)),
    "vgg3-w16": ((16,), (32,), (64,)),
    "vgg3-w32": ((32,), (64,), (128,)),
    "vgg6-w16": ((16,), (16,), (16,), (16,), (128,)),
    "vgg6-w32": ((32,), (32,), (32,), (32,), (256,)),
    "vgg6": ((64,), (64,), (64,), (64,), (512,)),
    "vgg0.5m": ((64,), (64,), (64,), (64,), (640,)),
    "vgg1m": ((64, 64), (128, 128), (128, 128), (128,), (256,)),
    "vgg8m": ((64, 64), (128, 128), (256,) * 4, (512, 512), (512,)),
    "vgg20m": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
"""Output channels of each convolution, stage by stage.

`vgg6` is the paper's. For VGG-0.5M it refers to the appendix, which has only that one; for VGG-1M,
8M and 20M to nothing. So those layouts are ours, with the parameters of their names for 3x32x32
images of 10 classes: `vgg0.5m` is `vgg6` with a wider last stage, `vgg20m` VGG-19, `vgg8m` VGG-19
with fewer 512s, `vgg1m` narrower and shallower. `-wN` makes the first convolution N wide and
the others in proportion; the `vgg3` are for 8x8 images.
"""


def vgg(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of one layout, for images of (channels, height, width).

    What the poolings leave of larger images is averaged. Raises MemregError for images that have
    nothing left to halve before the last pooling.

    Each stage pools before it normalises: the appendix names no normalisation, and to normalise a
    quarter of the values took a step of VGG-6 from 95 to 61 ms on a CPU.
    """
    stages = LAYOUTS[name]
    channels, height, width = image_shape
    smallest = 2 ** len(stages)
    if min(height, width) < smallest:
        raise MemregError(
            f"{name} halves its images {len(stages)} times: "
            f"it takes {smallest}x{smallest} and larger, not {height}x{width}"
        )
    layers: list[nn.Module] = []
    for stage in stages:
        for i, features in enumerate(stage, 1):
            layers.append(Convolution(channels, features, pooled=i == len(stage)))
            layers += [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
            channels = features
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)
