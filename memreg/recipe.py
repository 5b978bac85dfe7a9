"""How one network is trained."""

from typing import Literal

from pydantic import Field

from memreg.asked import Asked


class Recipe(Asked):
    """Model family and capacity, and everything that training it depends on.

    Defaults are the paper's section 5.1, except `epochs` and `batch_size`, which every grid states.
    """

    model: str = Field(min_length=1)
    """A name of `memreg.models`, or `timm:NAME` for any of timm's, untrained."""
    epochs: int = Field(100, ge=1)
    """Passes over the included examples."""
    batch_size: int = Field(512, ge=2)
    """Examples of a step."""
    learning_rate: float = Field(0.4, gt=0)
    """Peak of the triangular schedule."""
    warmup: float = Field(0.2, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0 to its peak; in the rest it falls back to 0."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD."""
    weight_decay: float = Field(1e-5, ge=0)
    """Of SGD, on all parameters."""
    augmentation: float = Field(1.0, ge=0, le=4)
    """Strength. 1 shifts by up to an eighth of the image side (4 pixels of 32) and flips where the data
    set allows it; 0, or false, turns both off."""
    precision: Literal["float32", "bf16"] = "float32"
    """float32 or bf16, which is autocast: weights stay in float32."""
