"""Small cells keep a page of themselves, explore.html, which opens in MLflow's UI."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.errors import MemregError
from memreg.registry import Store, StoredCell
from memreg.show.explore.static import MOST, page

NAME = "explore.html"
PAGE = "memreg.page"
"""Tag of a cell: members that its page is from."""


def write_pages(store: Store, cells: Iterable[StoredCell], dataset: Callable[[Cell], Dataset]) -> None:
    """Make the page of each complete cell that is small and has scores, and whose images are at hand, unless
    its page is from all the members that it has now.

    dataset: opens a cell's data set; raises `MemregError` where it is not at hand.
    """
    for cell in cells:
        if cell.count is None or cell.tags.get(PAGE) == str(cell.count) or cell.n_train > MOST:
            continue
        try:
            text = page(cell, dataset(cell.cell))
        except MemregError:  # no images, or no scores
            continue
        run = store.run(cell.run_id)
        run.artifacts.put(NAME, partial(_write, text))
        run.log(tags={PAGE: str(cell.count)})


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
