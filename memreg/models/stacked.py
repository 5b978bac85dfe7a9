"""Several networks of one layout as one, so small that on a GPU each kernel is shorter than its launch.

The network keeps its shape; each part that has weights holds those of all networks, stacked, and takes the
images of all of them, one network's after another's: [networks * batch, ...]. A convolution is one batched
product of patches: torch.vmap makes it a grouped convolution, which is slow (pytorch#73764).
"""

from copy import deepcopy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memreg.errors import MemregError
from memreg.models.convolution import Convolution

WEIGHTLESS = (nn.ReLU, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity)


def stacked(network: nn.Module, networks: int) -> nn.Module:
    """As many networks of this one's layout in one; parameters and buffers come in the same order, each with
    one more dimension in front, and with its values for all. Raises `MemregError` for a part that is not
    known to take images one by one. `can_be_stacked` says whether what the parts make of it is the same too.
    """
    copy = deepcopy(network)
    for name, part in copy.named_children():
        setattr(copy, name, _stacked(part, networks))
    if copy._parameters or copy._buffers:
        raise MemregError(f"{type(network).__name__} has weights of its own: it cannot be stacked")
    return copy


def can_be_stacked(network: nn.Module, image_shape: tuple[int, int, int]) -> bool:
    """Whether two networks in one give in training what each gives by itself, of a few random images."""
    try:
        both = stacked(network, 2).train()
    except MemregError:
        return False
    images = torch.rand(2, 8, *image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = torch.cat([deepcopy(network).train()(own) for own in images])
        return torch.allclose(both(images.flatten(0, 1)), alone, rtol=1e-3, atol=1e-3)


def _stacked(part: nn.Module, networks: int) -> nn.Module:
    kind = type(part)  # a subclass may do more, as timm's normalisation that ends with an activation
    if kind in (nn.Conv2d, Convolution):
        return _Convolution(cast(nn.Conv2d, part), networks)
    if kind is nn.BatchNorm2d:
        return _BatchNorm(cast(nn.BatchNorm2d, part), networks)
    if kind is nn.Linear:
        return _Linear(cast(nn.Linear, part), networks)
    if kind in WEIGHTLESS:
        return part
    if not any(True for _ in part.children()):
        raise MemregError(f"{kind.__name__} cannot be stacked")
    return stacked(part, networks)


def _copies(of: nn.Module, to: nn.Module, networks: int) -> None:
    """Parameters and buffers of one part as those of another, once for each network.

    Features are innermost in memory, as the product takes them, and as its gradient comes.
    """
    for name, weight in of.named_parameters():
        copies = torch.stack([weight.detach()] * networks)
        to.register_parameter(name, nn.Parameter(copies.movedim(1, -1).contiguous().movedim(-1, 1)))
    for name, buffer in of.named_buffers():
        to.register_buffer(name, torch.stack([buffer] * networks))


class _Convolution(nn.Module):
    """images [networks * batch, channels, height, width] -> [networks * batch, features, height, width]."""

    def __init__(self, of: nn.Conv2d, networks: int) -> None:
        super().__init__()
        if of.groups != 1 or of.dilation != (1, 1) or of.padding_mode != "zeros" or of.bias is not None:
            raise MemregError(f"{of} cannot be stacked")
        self._kernel, self._stride = of.kernel_size, of.stride
        self._padding = cast(tuple[int, int], of.padding)
        self._pooled = isinstance(of, Convolution) and of.pooled
        _copies(of, self, networks)

    def forward(self, images: Tensor) -> Tensor:
        weight: Tensor = self.get_parameter("weight")
        (height, width), (vertical, horizontal) = self._padding, self._stride
        pixels = F.pad(images.permute(0, 2, 3, 1), (0, 0, width, width, height, height))
        rows, columns = self._kernel
        patches = pixels.unfold(1, rows, vertical).unfold(2, columns, horizontal)
        n, high, wide = patches.shape[:3]
        product = torch.bmm(
            patches.reshape(len(weight), -1, weight[0, 0].numel()), weight.flatten(2).transpose(1, 2)
        )
        convolved = product.view(n, high, wide, -1).permute(0, 3, 1, 2)
        return F.max_pool2d(convolved, 2) if self._pooled else convolved


class _BatchNorm(nn.Module):
    """Normalises each network's images by their own mean and variance, as nn.BatchNorm2d in training."""

    def __init__(self, of: nn.BatchNorm2d, networks: int) -> None:
        super().__init__()
        if not (of.affine and of.track_running_stats) or of.momentum is None:
            raise MemregError(f"{of} cannot be stacked")
        self._eps, self._momentum = of.eps, of.momentum
        _copies(of, self, networks)

    def forward(self, images: Tensor) -> Tensor:
        weight, bias = self.get_parameter("weight"), self.get_parameter("bias")
        channels_last = images.permute(0, 2, 3, 1)
        precise = torch.promote_types(images.dtype, torch.float32)
        pixels = channels_last.reshape(len(weight), -1, weight.shape[1]).to(precise)
        variance, mean = torch.var_mean(pixels, dim=1, correction=0, keepdim=True)
        self._run(mean.detach()[:, 0], variance.detach()[:, 0], pixels.shape[1])
        normal = (pixels - mean) * (variance + self._eps).rsqrt() * weight[:, None] + bias[:, None]
        return normal.to(images.dtype).view(channels_last.shape).permute(0, 3, 1, 2)

    def _run(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        self.get_buffer("running_mean").lerp_(mean, self._momentum)
        self.get_buffer("running_var").lerp_(variance * (pixels / (pixels - 1)), self._momentum)
        self.get_buffer("num_batches_tracked").add_(1)


class _Linear(nn.Module):
    """features [networks * batch, inputs] -> [networks * batch, outputs]."""

    def __init__(self, of: nn.Linear, networks: int) -> None:
        super().__init__()
        if of.bias is None:
            raise MemregError(f"{of} cannot be stacked")
        _copies(of, self, networks)

    def forward(self, features: Tensor) -> Tensor:
        weight, bias = self.get_parameter("weight"), self.get_parameter("bias")
        inputs = features.view(len(weight), -1, weight.shape[2])
        outputs: Any = torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))
        return cast(Tensor, outputs.flatten(0, 1))
