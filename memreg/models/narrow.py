"""A convolution whose gradient a CPU gets wrong in bf16, refused where it is met."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from memreg.errors import MemregError


class NarrowConvolutionsRefused(TorchDispatchMode):
    """Raises `MemregError` at a padded convolution in bf16 on a CPU whose stride is larger than its image.

    There oneDNN leaves a part of the weight's gradient unwritten, so that it holds whatever its memory held
    before: a 3x3 convolution of stride 2 on one pixel is the smallest (torch 2.14).
    """

    def __init__(self, model: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types there
        self._model = model

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            images, _, _, strides, padding = args[:5]
            shape = tuple(images.shape[2:])
            wide = any(stride > size for stride, size in zip(strides, shape, strict=True))
            if wide and any(padding) and images.dtype == torch.bfloat16 and images.device.type == "cpu":
                raise MemregError(
                    f"model {self._model}: a convolution of stride {max(strides)} is given images of "
                    f"{'x'.join(map(str, shape))}, where a CPU's gradients in bf16 are wrong: take "
                    "precision=float32, larger images, or a network that halves them less often"
                )
        return func(*args, **(kwargs or {}))
