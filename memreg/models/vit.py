"""Vision transformers, Dosovitskiy et al., https://arxiv.org/abs/2010.11929: timm's."""

from typing import Any

from torch import nn

from memreg.errors import MemregError
from memreg.models.layouts import VIT


def vit(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network of one layout, for images of (channels, height, width).

    A patch is the smallest square that tiles the image with at most `patches` a side: for
    `vit-tiny`, 4 pixels at 32x32, 8 at 64x64, 16 at 224x224. Raises MemregError where none does.

    Three departures from timm's defaults, for small data and plain SGD. The patches are averaged,
    without a class token (Beyer et al., https://arxiv.org/abs/2205.01580). Weights start by fan, as
    in the original, and positions at a deviation of 1/sqrt(features), as in google-research's
    big_vision. Attention is not fused: fused, a step in bf16 on a CPU took half as long again, and
    on a GPU gradients may differ from run to run.
    """
    from timm.models.vision_transformer import VisionTransformer  # 2 s to import

    layout = VIT[name]
    channels, height, width = image_shape
    model = VisionTransformer(
        img_size=(height, width),
        patch_size=_patch_size(name, height, width),
        in_chans=channels,
        num_classes=classes,
        embed_dim=layout.features,
        num_heads=layout.heads,
        depth=layout.blocks,
        mlp_ratio=layout.mlp_ratio,
        class_token=False,
        global_pool="avg",
        weight_init="jax",
    )
    nn.init.normal_(model.get_parameter("pos_embed"), std=layout.features**-0.5)
    blocks: Any = model.blocks
    for block in blocks:
        block.attn.fused_attn = False
    return model


def _patch_size(name: str, height: int, width: int) -> int:
    """Choose the side of a patch in pixels, so that there are at least 2 patches a side."""
    most = VIT[name].patches
    for size in range(1, min(height, width) // 2 + 1):
        if height % size == 0 and width % size == 0 and max(height, width) <= most * size:
            return size
    raise MemregError(
        f"{name} cuts its images into squares, more than 1 and at most {most} a side, "
        f"as it can 8x8 or 32x32, but not {height}x{width}"
    )
