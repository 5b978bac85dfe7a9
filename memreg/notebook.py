"""The registry as people ask it from Python: what memreg.registry reads, and answers made of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.registry import origin, reader, stored_cell
from memreg.show.thumbnails import in_words, show

if TYPE_CHECKING:
    from memreg.questions.correlation import Correlated


class StoredCell(stored_cell.StoredCell):
    """A cell of the registry, found once and read when it is asked for."""

    def __repr__(self) -> str:
        return in_words(self)

    def _repr_html_(self) -> str | None:
        """In a notebook a cell shows its highest scores, if it has any."""
        try:
            return show(self)._repr_html_()
        except MemregError:
            return None

    def scores(self, estimator: str | None = None) -> pd.DataFrame:
        """See `memreg.registry.StoredCell.scores`; `memreg.show` takes the frame, which knows its cell."""
        table = super().scores(estimator)
        origin.mark(table, self, estimator)
        return table

    def top(self, n: int = 10, estimator: str | None = None) -> pd.DataFrame:
        """The n training examples with the highest scores, highest first: rows of `scores(estimator)`.

        Where known with `clean_label` (before planted noise), `group` (planted), `source_label` (what the
        data calls the class) and `file` (of the image, below the data set's directory).

        Raises `MemregError` where n is below 1, and where there are no such scores.
        """
        if n < 1:
            raise MemregError(f"top({n}): give a number of examples, 1 or more")
        scores = self.scores(estimator)
        top = self.described(scores.nlargest(n, "score"))
        top.attrs = scores.attrs
        return top

    def label_check(self) -> pd.DataFrame:
        """Training examples, first those whose label is most surely wrong, and what it should be instead.

        The columns are those of `memreg.scoring.label_check`; a label is probably wrong where `low` is
        above 0. Raises `MemregError` where no member leaves an example out.
        """
        from memreg.scoring.label_check import label_check

        return label_check(self)

    def images(
        self,
        examples: Sequence[int] | NDArray[np.int64] | None = None,
        data_dir: Path | None = None,
        dataset: str | None = None,
    ) -> NDArray[np.uint8]:
        """Images of training examples, by index, or of all, uint8 [images, height, width, channels].

        data_dir: where data sets are; by default MEMREG_DATA_DIR, else ./data.
        dataset: the data set's name once more where it is `package.module:function`, which is code of yours.

        Raises `MemregError` where the data set is not there or has changed, and for an example that it does
        not have.
        """
        from memreg.data.stored import images_of

        if examples is None:
            return np.asarray(images_of(self.cell, data_dir, dataset).train_images)
        wanted = np.asarray(examples)
        if len(wanted) and wanted.dtype.kind not in "iu":
            raise MemregError(f"images: give examples by index, as whole numbers, and not {wanted.dtype}")
        wrong = wanted[(wanted < 0) | (wanted >= self.n_train)]
        if len(wrong):
            raise MemregError(f"{self} has training examples 0 to {self.n_train - 1}, and not {wrong[0]}")
        images = images_of(self.cell, data_dir, dataset).train_images
        return np.asarray(images[wanted.astype(np.int64)])


Named = str | stored_cell.StoredCell
"""A cell by its hash, the first digits of it or its run id, or as an object."""


class Registry(reader.Registry):
    """Complete cells of a tracking store, across its experiments.

    tracking_uri: by default MLFLOW_TRACKING_URI's, else sqlite:///mlflow.db. A cell is named by its hash, by
    the first digits of it if no other begins with them, or by its run id; a study by its name or its run id.
    """

    kept_as = StoredCell

    if TYPE_CHECKING:

        def cell(self, cell: str) -> StoredCell: ...

    def score_matrix(
        self, study: str, dataset: str | None = None, estimator: str | None = None
    ) -> pd.DataFrame:
        """Scores of all cells of a study: a row per training example, a column per cell, named by its hash.

        dataset: needed where the study has cells on several data sets, whose examples are not the same.
        """
        cells = self.cells(study, columns=["dataset"])
        known = list(dict.fromkeys(cells["dataset"]))
        if dataset is None and len(known) > 1:
            raise MemregError(
                f"study {study} has cells on {len(known)} data sets: give dataset={' or '.join(known)}"
            )
        if dataset is not None and dataset not in known:
            raise MemregError(f"study {study} has no cell on {dataset}: it has {', '.join(known) or 'none'}")
        chosen = cells if dataset is None else cells[cells["dataset"] == dataset]
        frame = self.compare(self.cells_by_run(chosen["run_id"]), estimator=estimator)
        return pd.DataFrame(frame["score"]).droplevel("label")

    @overload
    def compare(self, a: Named, b: Named, estimator: str | None = None) -> pd.DataFrame: ...

    @overload
    def compare(self, a: Iterable[Named], *, estimator: str | None = None) -> pd.DataFrame: ...

    def compare(
        self, a: Named | Iterable[Named], b: Named | None = None, estimator: str | None = None
    ) -> pd.DataFrame:
        """Scores of cells on the same data set, a row per training example. Raises `MemregError` on others.

        `compare(cells)`, for a list of any number: `frame["score"]`, `frame["low"]` and `frame["high"]` each
        have a column per cell, named by its hash, and `frame[("score", hash)]` is one of them. The index is
        `example` and `label`; `reset_index()` makes them columns. NaN where a cell has no score.

        `compare(a, b)`, for the difference of two: columns `example`, `label`, `score_a`, `score_b`, and
        `difference` (b minus a) with `low` and `high`, 95 % by MOVER as if the members of the two were
        independent: wider than need be where they saw the same examples.

        estimator: whose scores; see `StoredCell.scores`.
        """
        if isinstance(a, Named):
            if b is None:
                raise MemregError(
                    "compare: give two cells, compare(a, b), or a list of them, compare([a, b, c])"
                )
            return _difference(*(cell.scores(estimator) for cell in self._on_one_data_set([a, b])))
        if b is not None:
            raise MemregError(f"compare: give a list of cells alone, and not {b!r} beside it; estimator=NAME")
        tables = {
            cell.hash: cell.scores(estimator).set_index(["example", "label"])
            for cell in self._on_one_data_set(a)
        }
        parts = {
            key: pd.DataFrame({hash_: table[key] for hash_, table in tables.items()})
            for key in ("score", "low", "high")
        }
        return pd.concat(parts, axis=1, names=["value", "cell"])

    def _on_one_data_set(self, named: Iterable[Named]) -> list[stored_cell.StoredCell]:
        cells = [self.cell(one) if isinstance(one, str) else one for one in named]
        if not cells:
            raise MemregError("compare: there is no cell in the list")
        first, fingerprint = cells[0], "memreg.dataset_fingerprint"
        for cell in cells[1:]:
            if cell.tags[fingerprint] != first.tags[fingerprint]:
                raise MemregError(
                    f"{first} and {cell} are on other data sets: {first.cell.dataset} and {cell.cell.dataset}"
                )
        return cells

    def images(
        self,
        cell: str | StoredCell,
        examples: Sequence[int] | NDArray[np.int64] | None = None,
        data_dir: Path | None = None,
        dataset: str | None = None,
    ) -> NDArray[np.uint8]:
        """Images of a cell's training examples; see `StoredCell.images`."""
        found = self.cell(cell) if isinstance(cell, str) else cell
        return found.images(examples, data_dir, dataset)

    def correlation(self, study: str, statistic: str | None = None) -> "Correlated":
        """Correlate memorization with test accuracy over the cells of a study, or of several with commas.

        The answer has `result` (all correlations), `in_words()`, `metrics()`, `tables()` and `figures()`.
        Nothing is logged. Raises `MemregError` for an unknown statistic, and for fewer than 3 cells.
        """
        from memreg.questions.correlation import run
        from memreg.requests.correlation import Request

        return run(Request(study=study, **({} if statistic is None else {"statistic": statistic})), self)


def _difference(x: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """Two cells' scores beside each other, and what the second has more."""
    difference = y["score"] - x["score"]
    down = np.hypot(y["score"] - y["low"], x["high"] - x["score"])
    up = np.hypot(y["high"] - y["score"], x["score"] - x["low"])
    table = {
        "example": x["example"],
        "label": x["label"],
        "score_a": x["score"],
        "score_b": y["score"],
        "difference": difference,
        "low": difference - down,
        "high": difference + up,
    }
    return pd.DataFrame(table)
