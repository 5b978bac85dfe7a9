"""Members that were trained elsewhere: what they saw is in their shards, and follows from nothing."""

from typing import Literal, NoReturn

from pydantic import Field

from memreg.design.base import BaseDesign
from memreg.errors import MemregError

BLOCKS = 100  # at most: more cost memory and tell no more


class Imported(BaseDesign):
    """A fixed number of members, known by what they predicted. More of them are another cell."""

    kind: Literal["imported"] = "imported"
    content: str = Field(pattern="[0-9a-f]{64}")
    """SHA-256 of masks and predictions."""
    networks: int = Field(ge=1)
    """Members."""

    def included(self, member: int, n: int) -> NoReturn:
        raise _cannot_be_trained()

    def block(self, member: int) -> int:
        """Members that follow each other, taken for independent of the others."""
        return member * min(self.networks, BLOCKS) // self.networks

    def size(self, n: int) -> NoReturn:
        raise _cannot_be_trained()

    def check(self, n: int) -> NoReturn:
        raise _cannot_be_trained()


def _cannot_be_trained() -> MemregError:
    return MemregError("an imported cell cannot be trained: how its members came about is not known here")
