"""bf16 on a CPU: where there are no instructions for it, it takes time instead of saving it."""

import platform
from collections.abc import Iterable
from typing import Literal

from memreg.recipe import Recipe

Bf16 = Literal["instructions", "emulated", "none"]
SLOWER = {
    "emulated": "only emulates: VGG-6 took 2.3 times as long as in float32 with AVX-512 alone",
    "none": "has not: VGG-6 took 10 times as long as in float32 with AVX2 alone (515 and 5,258 images/s)",
}


def cpu_bf16() -> Bf16:
    """What this machine's CPU has for bf16, as torch sees it.

    oneDNN takes bf16 on x86 with AVX-512 (bw, vl and dq) and on Arm with bf16: torch's
    `mkldnn_bf16_device_check`. Without AVX512_BF16 it converts there and back, and where it takes none, torch
    has slow loops of its own.
    """
    import torch

    taken = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if not taken:
        return "none"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "emulated" if x86 and not torch.cpu._is_avx512_bf16_supported() else "instructions"


def slow_bf16(recipes: Iterable[Recipe], device: str) -> str:
    """A warning where a recipe asks for bf16 and the device is a CPU that is slower at it, else nothing."""
    if not device.startswith("cpu") or all(recipe.precision != "bf16" for recipe in recipes):
        return ""
    if (found := cpu_bf16()) == "instructions":
        return ""
    return f"precision=bf16, which this machine's CPU {SLOWER[found]}. precision=float32 makes other cells"
