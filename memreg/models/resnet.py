"""Residual networks, He et al., https://arxiv.org/abs/1512.03385, from torchvision's blocks."""

from typing import Literal, NamedTuple

from torch import nn


class Layout(NamedTuple):
    block: Literal["BasicBlock", "Bottleneck"]
    widths: tuple[int, ...]
    """Channels of each stage, before a bottleneck's expansion. All stages but the first halve."""
    blocks: tuple[int, ...]
    """Blocks of each stage."""
    pooled: bool = False
    """Whether the stem halves a small image too."""


LAYOUTS = {
    "resnet8-w4": Layout("BasicBlock", (4, 8, 16), (1, 1, 1), pooled=True),
    "resnet8-w8": Layout("BasicBlock", (8, 16, 32), (1, 1, 1), pooled=True),
    "resnet8-w16": Layout("BasicBlock", (16, 32, 64), (1, 1, 1), pooled=True),
    "resnet18": Layout("BasicBlock", (64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet50": Layout("Bottleneck", (64, 128, 256, 512), (3, 4, 6, 3)),
}
"""`resnet18` and `resnet50` are the paper's; the `resnet8` are for 8x8 images.

Pooling in the stem more than halves the time of a `resnet8`: at w16, 3.4 for 8.4 ms a step.
"""


def resnet(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The network of one layout, for images of (channels, height, width), any.

    From 128 pixels on the stem is the original one, which leaves a quarter of each side; below, it
    is one 3x3 convolution that leaves the sides whole, as is usual for CIFAR.
    """
    from torchvision.models import resnet as torchvision  # 1.6 s to import

    layout = LAYOUTS[name]
    block = getattr(torchvision, layout.block)
    channels, height, width = image_shape
    features = layout.widths[0]
    layers = _stem(channels, features, min(height, width) >= 128, layout.pooled)
    for stage, (planes, blocks) in enumerate(zip(layout.widths, layout.blocks, strict=True)):
        for i in range(blocks):
            stride = 2 if stage > 0 and i == 0 else 1
            out = planes * block.expansion
            shortcut = None
            if stride > 1 or features != out:
                conv = nn.Conv2d(features, out, 1, stride, bias=False)
                shortcut = nn.Sequential(conv, nn.BatchNorm2d(out))
            layers.append(block(features, planes, stride, shortcut))
            features = out
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes)]
    model = nn.Sequential(*layers, *head)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _stem(channels: int, features: int, large: bool, pooled: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
    if large:
        conv = nn.Conv2d(channels, features, 7, stride=2, padding=3, bias=False)
        return [conv, *norm, nn.MaxPool2d(3, stride=2, padding=1)]
    conv = nn.Conv2d(channels, features, 3, padding=1, bias=False)
    return [conv, *([nn.MaxPool2d(2)] if pooled else []), *norm]
