"""VGG's convolution, and the max-pooling behind it, in the way that a CPU is fastest at.

* Outputs larger than the cache, as VGG-6's first (34 MB at batch 256 in bf16): torch writes them, int64
  indices of the pooled pixels, as many bytes again, and both once more on the way back. Convolved
  and pooled a few images at a time they stay in the cache, which takes two thirds of the time. Batch
  statistics come after the pooling: here images are independent.
* 2x2 images, as VGG's last: each output pixel sees a 2x2 window of the kernel, so that all four are one
  matrix product, three times as fast as oneDNN's convolution.
* All others, and every image on CUDA: torch's own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CACHED = 2**21  # bytes of output at once: with 1 MB of cache to a core, half or twice as many cost the same
WIDE = 2**13  # channels x features from which the product is faster
_WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the size of a float in bytes


class Convolution(nn.Conv2d):
    """3x3, zero padding, no bias; if `pooled`, then the maximum of each 2x2 pixels.

    images [n, channels, height, width] -> [n, features, height, width], or half of both if pooled.
    """

    def __init__(self, channels: int, features: int, pooled: bool) -> None:
        super().__init__(channels, features, 3, padding=1, bias=False)
        self.pooled = pooled

    def forward(self, input: Tensor) -> Tensor:
        n, channels, height, width = input.shape
        if input.device.type == "cpu":
            if height == width == 2 and channels * self.out_channels >= WIDE:
                product = _as_product(_autocast(input), self.weight)
                return F.max_pool2d(product, 2) if self.pooled else product
            if self.pooled and n * self.out_channels * height * width * input.element_size() > CACHED:
                pooled: Tensor = _PooledInCache.apply(_autocast(input), self.weight)
                return pooled
        convolved: Tensor = super().forward(input)
        return F.max_pool2d(convolved, 2) if self.pooled else convolved


def _autocast(images: Tensor) -> Tensor:
    return images.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else images


def _as_product(images: Tensor, weight: Tensor) -> Tensor:
    """images [n, channels, 2, 2], weight [features, channels, 3, 3] -> [n, features, 2, 2]."""
    kernel = weight.to(images.dtype).permute(0, 2, 3, 1)
    windows = [kernel[:, 1 - i : 3 - i, 1 - j : 3 - j].flatten(1) for i in (0, 1) for j in (0, 1)]
    pixels: Tensor = images.permute(0, 2, 3, 1).flatten(1) @ torch.cat(windows).T
    convolved: Tensor = pixels.unflatten(1, (2, 2, -1))
    return convolved.permute(0, 3, 1, 2)


class _PooledInCache(torch.autograd.Function):
    """images [n, channels, height, width], weight [features, channels, 3, 3] -> [n, features, height // 2,
    width // 2]. Where values tie, the upper and then the left one has the gradient."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        n, _, height, width = images.shape
        features, rows, columns = len(weight), height // 2, width // 2
        kernel = weight.to(images.dtype)
        pooled = images.new_empty(n, rows, columns, features)
        ctx.few = max(1, CACHED // (height * width * features * images.element_size()))
        ctx.choices = []
        for x, out in zip(images.split(ctx.few), pooled.split(ctx.few), strict=True):
            z = F.conv2d(x, kernel, padding=1).permute(0, 2, 3, 1)[:, : 2 * rows, : 2 * columns]
            upper, lower = z[:, 0::2], z[:, 1::2]
            halved = torch.maximum(upper, lower)
            left, right = halved[:, :, 0::2], halved[:, :, 1::2]
            torch.maximum(left, right, out=out)
            ctx.choices.append((_less(upper, lower), _less(left, right)))
        ctx.save_for_backward(images, kernel)
        ctx.dtype = weight.dtype
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        images, kernel = ctx.saved_tensors
        height, width = images.shape[2:]
        into_images = ctx.needs_input_grad[0]
        weight = torch.zeros_like(kernel, dtype=ctx.dtype)
        parts = []
        gradients = gradient.permute(0, 2, 3, 1).contiguous().split(ctx.few)
        for x, g, (lower, right) in zip(images.split(ctx.few), gradients, ctx.choices, strict=True):
            z = _spread(_spread(g, right, 2), lower, 1)
            z = F.pad(z, (0, 0, 0, width % 2, 0, height % 2)).permute(0, 3, 1, 2)
            g_x, g_weight, _ = torch.ops.aten.convolution_backward(
                z, x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [into_images, True, False]
            )
            weight += g_weight
            parts.append(g_x)
        return torch.cat(parts) if into_images else None, weight


def _less(a: Tensor, b: Tensor) -> Tensor:
    """Integers of all bits where a < b and of none elsewhere: the sign of the difference, spread.

    As a mask, a tenth of the cost of comparing to booleans and multiplying by these.
    """
    difference = a - b
    bits = 8 * difference.element_size()
    return difference.view(_WHOLE[bits // 8]).bitwise_right_shift_(bits - 1)


def _spread(gradient: Tensor, second: Tensor, dim: int) -> Tensor:
    """Each value to the second of two places along `dim` where `second` has all bits, else to the first,
    and zero to the other."""
    value = gradient.view(second.dtype)
    shape = list(gradient.shape)
    shape[dim] *= 2
    spread = torch.empty(shape, dtype=second.dtype)
    first, other = spread.unflatten(dim, (-1, 2)).unbind(dim + 1)
    torch.bitwise_and(value, second, out=other)
    torch.bitwise_xor(value, other, out=first)
    return spread.view(gradient.dtype)
