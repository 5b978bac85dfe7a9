"""The registry as people ask it from Python: what memreg.registry reads, and answers made of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.registry import reader, stored_cell

if TYPE_CHECKING:
    from memreg.questions.correlation import Correlated


class StoredCell(stored_cell.StoredCell):
    """A cell of the registry, found once and read when it is asked for."""

    def top(self, n: int = 10, estimator: str | None = None) -> pd.DataFrame:
        """The n training examples with the highest scores, highest first: rows of `scores(estimator)`.

        Where known with `clean_label` (before planted noise), `group` (planted), `source_label` (what the
        data calls the class) and `file` (of the image, below the data set's directory).

        Raises `MemregError` where n is below 1, and where there are no such scores.
        """
        if n < 1:
            raise MemregError(f"top({n}): give a number of examples, 1 or more")
        return self.described(self.scores(estimator).nlargest(n, "score"))

    def images(
        self, examples: Sequence[int] | NDArray[np.int64], data_dir: Path | None = None
    ) -> NDArray[np.uint8]:
        """Images of training examples, uint8 [len(examples), height, width, channels].

        data_dir: where data sets are; by default MEMREG_DATA_DIR, else ./data. Raises `MemregError` where the
        data set is not there or has changed, and for an example that it does not have.
        """
        from memreg.data.stored import images_of

        wanted = np.asarray(examples, dtype=np.int64)
        wrong = wanted[(wanted < 0) | (wanted >= self.n_train)]
        if len(wrong):
            raise MemregError(f"{self} has training examples 0 to {self.n_train - 1}, and not {wrong[0]}")
        return np.asarray(images_of(self.cell, data_dir).train_images[wanted])


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
        columns = {
            cell.hash: cell.scores(estimator).set_index("example")["score"]
            for cell in self.cells_by_run(chosen["run_id"])
        }
        return pd.DataFrame(columns)

    def compare(self, a: str, b: str, estimator: str | None = None) -> pd.DataFrame:
        """Scores of two cells on the same data set, a row per training example.

        `example`, `label`, `score_a`, `score_b`, and `difference` (b minus a) with `low` and `high`, 95 % by
        MOVER as if the members of the two were independent: wider than need be where they saw the same
        examples. Raises `MemregError` where the data sets differ.
        """
        cells = [self.cell(name) for name in (a, b)]
        first, second = (cell.cell for cell in cells)
        if first.dataset_fingerprint != second.dataset_fingerprint:
            raise MemregError(
                f"cells {a} and {b} are on other data sets: {first.dataset} and {second.dataset}"
            )
        x, y = (cell.scores(estimator) for cell in cells)
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

    def correlation(self, study: str, statistic: str | None = None) -> "Correlated":
        """Correlate memorization with test accuracy over the cells of a study, or of several with commas.

        The answer has `result` (all correlations), `in_words()`, `metrics()`, `tables()` and `figures()`.
        Nothing is logged. Raises `MemregError` for an unknown statistic, and for fewer than 3 cells.
        """
        from memreg.questions.correlation import run
        from memreg.requests.correlation import Request

        return run(Request(study=study, **({} if statistic is None else {"statistic": statistic})), self)
