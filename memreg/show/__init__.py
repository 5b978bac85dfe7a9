"""Everything that a person looks at: figures, the report, the words of runs, the terminal, a notebook.

This package is also what a notebook calls: `memreg.show(cell)`.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import pandas as pd

    from memreg.registry import StoredCell
    from memreg.show.thumbnails import Thumbnails


class _Show(ModuleType):
    """A package that can be called."""

    def __call__(
        self,
        what: Union["StoredCell", "pd.DataFrame"],
        n: int = 20,
        cell: "StoredCell | None" = None,
        data_dir: Path | None = None,
        dataset: str | None = None,
    ) -> "Thumbnails":
        """See `memreg.show.thumbnails.show`."""
        from memreg.show.thumbnails import show

        return show(what, n, cell, data_dir, dataset)


sys.modules[__name__].__class__ = _Show
