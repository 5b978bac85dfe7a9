"""What may be asked of `memreg leaderboard`."""

from pydantic import Field, field_validator

from memreg.errors import MemregError
from memreg.parameters import Parameters

MOST = 100_000


class Request(Parameters):
    """What is asked of `memreg leaderboard`."""

    loo_cell: str
    """A stored leave-one-out cell, whose targets' scores are the truth."""
    proxies: str = "all"
    """Proxies to judge, with commas between, or package.module:function of traces."""
    networks: str = "1,5,20,100"
    """Numbers of networks that each proxy is judged at, with commas between."""
    r: float = Field(0.7, gt=0, lt=1)
    """Share of the examples that members see which leave some out."""
    design_seed: int = Field(0, ge=0, lt=2**32)
    """Seed of their choice."""
    dataset: str | None = None
    """The cell's data set once more, where it is code of yours."""
    code: str | None = None
    """What of the cell's recipe is code of yours, once more, with commas between."""
    study: str = "leaderboard"
    """Name of the study."""

    @field_validator("networks")
    @classmethod
    def _are_numbers(cls, text: str) -> str:
        words = [word.strip() for word in text.split(",")]
        if not all(word.isdecimal() and 0 < int(word) <= MOST for word in words):
            raise MemregError(f"networks={text}: whole numbers from 1 to {MOST:,}, with commas between")
        return text

    @property
    def numbers(self) -> list[int]:
        """Numbers of networks, ascending."""
        return sorted({int(word) for word in self.networks.split(",")})
