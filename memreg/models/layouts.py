"""The layouts that have a name, family by family, as plain data: whoever only needs a name has it at once."""

from typing import Literal, NamedTuple

TIMM = "timm:"
"""Begins the name of a model of timm's, which has layouts of its own."""

VGG: dict[str, tuple[tuple[int, ...], ...]] = {
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


class ResNet(NamedTuple):
    block: Literal["BasicBlock", "Bottleneck"]
    widths: tuple[int, ...]
    """Channels of each stage, before a bottleneck's expansion. All stages but the first halve."""
    blocks: tuple[int, ...]
    """Blocks of each stage."""
    pooled: bool = False
    """Whether the stem halves a small image too."""


RESNET = {
    "resnet8-w4": ResNet("BasicBlock", (4, 8, 16), (1, 1, 1), pooled=True),
    "resnet8-w8": ResNet("BasicBlock", (8, 16, 32), (1, 1, 1), pooled=True),
    "resnet8-w16": ResNet("BasicBlock", (16, 32, 64), (1, 1, 1), pooled=True),
    "resnet18": ResNet("BasicBlock", (64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet50": ResNet("Bottleneck", (64, 128, 256, 512), (3, 4, 6, 3)),
}
"""`resnet18` and `resnet50` are the paper's; the `resnet8` are for 8x8 images.

Pooling in the stem more than halves the time of a `resnet8`: at w16, 3.4 for 8.4 ms a step.
"""


class ViT(NamedTuple):
    features: int
    heads: int
    blocks: int
    mlp_ratio: int
    """Width of a block's hidden layer over its features."""
    patches: int
    """The most patches along a side."""


VIT = {
    "vit-micro": ViT(16, 1, 1, 2, patches=2),
    "vit-mini": ViT(32, 2, 2, 2, patches=2),
    "vit-tiny": ViT(192, 3, 12, 4, patches=14),
    "vit-small": ViT(384, 6, 12, 4, patches=14),
}
"""`vit-tiny` and `vit-small` are the paper's, in the sizes of DeiT, https://arxiv.org/abs/2012.12877,
as it gives none; `vit-micro` and `vit-mini` are for 8x8 images."""
