"""Any model of timm's by name, untrained."""

from typing import Any

import torch
from torch import nn

from memreg.errors import MemregError
from memreg.models.layouts import TIMM
from memreg.models.unknown import unknown


def from_timm(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The model of `timm:NAME`, for images of (channels, height, width).

    Raises MemregError for what timm does not have, and for what does not turn these images into
    logits of these classes: it is tried on torch's meta device, which computes shapes only.
    """
    import timm  # 2 s to import

    architecture = name.removeprefix(TIMM)
    known = timm.list_models()
    made_for = timm.get_pretrained_cfg(architecture) if architecture in known else None
    if made_for is None:
        listing = "timm.list_models() lists them, without the tags of trained weights"
        raise unknown(name, (TIMM + model for model in known), listing)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": image_shape[0]}
    if made_for.fixed_input_size:
        options["img_size"] = image_shape[1:]
    try:
        with torch.device("meta"), torch.no_grad():
            trial = timm.create_model(architecture, **options).eval()
            logits = trial(torch.empty(2, *image_shape))
        refusal = "" if logits.shape == (2, classes) else "its output is not one logit per class"
    except Exception as error:  # whatever a thousand architectures may raise
        refusal = str(error).partition("\n")[0] or "an assertion of timm's"
    if refusal:
        taken, wanted = ("x".join(map(str, shape)) for shape in (made_for.input_size, image_shape))
        raise MemregError(f"{name} is made for {taken} images and cannot take {wanted}: {refusal}")
    model: nn.Module = timm.create_model(architecture, **options)
    return model
