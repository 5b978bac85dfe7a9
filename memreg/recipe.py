"""How one network is trained."""

from contextlib import suppress
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from memreg.parameters import Parameters
from memreg.user_code import is_code

SGD = ("learning_rate", "momentum", "weight_decay")


class Recipe(Parameters):
    """Model family and capacity, and everything that training it depends on.

    Defaults are the paper's section 5.1, except `epochs` and `batch_size`, which every grid states.
    """

    model: str = Field(min_length=1)
    """A name of `memreg.models`, `timm:NAME` for any of timm's, untrained, or package.module:function."""
    epochs: int = Field(100, ge=1)
    """Passes over the included examples."""
    batch_size: int = Field(512, ge=2)
    """Examples in a step of training."""
    learning_rate: float = Field(0.4, gt=0)
    """Peak of the triangular schedule."""
    warmup: float = Field(0.2, ge=0, lt=1)
    """Share of the steps in which the rate rises from 0 to its peak; in the rest it falls back to 0."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(1e-5, ge=0)
    """Weight decay of SGD, on all parameters."""
    augmentation: float | str = 1.0
    """Strength, from 0 to 4. 1 shifts by up to an eighth of the image side (4 pixels of 32) and flips where
    the data set allows it; 0, or false, turns both off. Or package.module:function."""
    precision: Literal["float32", "bf16"] = "float32"
    """float32 or bf16, which is autocast: weights stay in float32."""
    optimizer: str | None = None
    """package.module:function; by default SGD. It has its own learning rate, momentum and weight decay."""

    @field_validator("augmentation", mode="before")
    @classmethod
    def _reads_numbers(cls, value: Any) -> Any:
        """A number may come as text, as in MLflow's params; else the type would take it for a name."""
        with suppress(TypeError, ValueError):
            return float(value)
        return value

    @field_validator("augmentation")
    @classmethod
    def _is_a_strength_or_code(cls, value: float | str) -> float | str:
        if not (is_code(value) if isinstance(value, str) else 0 <= value <= 4):
            raise ValueError("must be a number from 0 to 4, or package.module:function")
        return value

    @model_validator(mode="after")
    def _has_one_optimizer(self) -> Self:
        if self.optimizer is not None:
            if not is_code(self.optimizer):
                raise ValueError(f"optimizer: must be package.module:function, not {self.optimizer!r}")
            if given := sorted(self.model_fields_set.intersection(SGD)):
                raise ValueError(f"{given[0]}: is for SGD: {self.optimizer} has its own")
        return self

    @property
    def code(self) -> dict[str, str]:
        """What of it is the user's code: `model`, `augmentation` or `optimizer` -> its name."""
        named = {"model": self.model, "augmentation": self.augmentation, "optimizer": self.optimizer}
        return {what: name for what, name in named.items() if is_code(name)}

    def known(self) -> dict[str, Any]:
        """What tells recipes apart, as JSON: without fields of an optimizer that is not used."""
        unused = {"optimizer"} if self.optimizer is None else {*SGD}
        return self.model_dump(mode="json", exclude=unused)
