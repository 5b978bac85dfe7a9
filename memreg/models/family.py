"""Which family a model is of."""

FAMILIES = ("vgg", "resnet", "vit")


def family(model: str) -> str:
    """The family of a model by its name: one of FAMILIES, `timm` for any of timm's, else `own`."""
    if model.startswith("timm:"):
        return "timm"
    return next((name for name in FAMILIES if model.startswith(name)), "own")
