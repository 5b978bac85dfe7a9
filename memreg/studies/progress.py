"""What a study tells of its progress, to whoever shows it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from memreg.cell import Cell


class Progress(Protocol):
    """How a study goes on. `memreg.show.terminal` has the one that people see."""

    @property
    def warnings(self) -> Sequence[str]:
        """All that was warned of so far: it ends up in the study's description and page."""

    def start(self, cells: Sequence[tuple[Cell, int, int]]) -> None:
        """(cell, members missing, members asked for) of each cell that is going to be trained."""

    def advance(self, cell: Cell) -> None:
        """One more member of the cell is trained."""

    def finish(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        """All members of the cell are stored; metrics: the cell's, as MLflow has them."""

    def say(self, text: str) -> None:
        """Something that a person may want to know."""

    def warn(self, text: str) -> None:
        """Something that a person should know."""


class Silent:
    """Progress that nobody looks at."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, cells: Sequence[tuple[Cell, int, int]]) -> None:
        """Not shown."""

    def advance(self, cell: Cell) -> None:
        """Not shown."""

    def finish(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        """Not shown."""

    def say(self, text: str) -> None:
        """Not shown."""

    def warn(self, text: str) -> None:
        """Not shown."""
        self.warnings.append(text)
