"""Training examples as a grid of thumbnails, for a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray

from memreg.data.name import parse
from memreg.data.stored import images_of
from memreg.errors import MemregError
from memreg.registry import StoredCell
from memreg.registry.origin import CELL, ESTIMATOR, CellHash
from memreg.show.labelled import called
from memreg.show.report.cells import png, records
from memreg.wording import counted

SIDE = 96
"""Pixels of a thumbnail, at most."""
COLUMNS = 6
"""Thumbnails in a row, where a page does not arrange them itself: GitHub's takes no styles."""
SCORE = "how much more often networks are right about it having trained on it [95 % interval]"


@dataclass(frozen=True)
class Thumbnails:
    """Training examples with their images: as HTML in a notebook, as a table in a terminal."""

    title: str
    cell: str
    rows: pd.DataFrame
    """What is shown, a row per example."""
    images: Sequence[str]
    """Data URIs, one for each row; none where the data set is not at hand."""
    notes: Sequence[str]

    def _repr_html_(self) -> str:
        examples = records(self.rows)
        for example, image in zip(examples, self.images, strict=False):
            example["image"] = image
        rows = [examples[start : start + COLUMNS] for start in range(0, len(examples), COLUMNS)]
        return _template().render(shown=self, rows=rows, side=SIDE)

    def __repr__(self) -> str:
        table = self.rows.to_string(index=False, float_format="%.3f", na_rep="-")
        return "\n".join([self.title, self.cell, table, *self.notes])


def show(
    what: StoredCell | pd.DataFrame,
    n: int = 20,
    cell: StoredCell | None = None,
    data_dir: Path | None = None,
    dataset: str | None = None,
) -> Thumbnails:
    """Show training examples as pictures, each with label, score, interval and index.

    what: a cell, or rows of scores, as `registry.scores(...)`, `cell.scores(...)` and `cell.top(...)` give
    them. Of a cell, and of more than n rows, the n highest scores are shown, highest first; n rows or fewer
    are shown as they come.
    cell: whose scores they are, needed where a frame has lost that, as after reading it from a file.
    data_dir: where data sets are; by default MEMREG_DATA_DIR, else ./data.
    dataset: the data set's name once more where it is `package.module:function`, which is code of yours.

    Where images are not at hand the rest is shown, and why. Raises `MemregError` where there are no scores.
    """
    if n < 1:
        raise MemregError(f"show(n={n}): give a number of examples, 1 or more")
    cell, scores = _scores(what, cell)
    title, notes = f"{len(scores)} training examples", list[str]()
    if len(scores) > n:
        title = f"The {n} highest scores of {len(scores)} training examples"
        scores, more = _highest(scores, n)
        notes += [f"{more} more score as high as the last of these."] if more else []
    estimator = scores.attrs.get(ESTIMATOR)
    if estimator is not None:
        notes.append(f"Scores of {estimator}.")
    elif CELL in scores.attrs:
        notes.append(f"Score of an example: {SCORE}.")
    rows, images = _named(cell, cell.described(scores)), list[str]()
    try:
        shown = images_of(cell.cell, data_dir, dataset).train_images[rows["example"].to_numpy()]
        images = [png(enlarged(image)) for image in shown]
    except MemregError as error:
        notes.append(f"Without images: {error}{_where(cell.cell.dataset)}")
    return Thumbnails(title, in_words(cell), rows, images, notes)


def in_words(cell: StoredCell) -> str:
    """A cell in a line: its hash, model, data set and members."""
    members = f", {counted(cell.count, 'member')}" if cell.count else ""
    return f"{cell}: {cell.cell.recipe.model} on {cell.cell.dataset}{members}"


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image [height, width, channels], as many times as large as fits: each pixel becomes a square."""
    times = max(1, SIDE // max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def _scores(what: StoredCell | pd.DataFrame, cell: StoredCell | None) -> tuple[StoredCell, pd.DataFrame]:
    """The cell, and rows of its scores with `example`, `label`, `score`, and `low` and `high` where known."""
    if isinstance(what, StoredCell):
        found = what.scores().dropna(subset="score")
        if found.empty:
            raise MemregError(f"{what} has no scores: no example of it is both included and left out")
        found.attrs.setdefault(CELL, what.hash)
        return what, _columns(what, found)
    if not isinstance(what, pd.DataFrame):
        raise MemregError(
            f"show({type(what).__name__}): give a cell, as registry.cell(...) finds it, or a frame of scores"
        )
    if missing := [key for key in ("example", "score") if key not in what]:
        raise MemregError(
            f"show(frame): it has no column {missing[0]}: give one as registry.scores(...) does"
        )
    return (of := _cell_of(what, cell)), _columns(of, what)


def _cell_of(frame: pd.DataFrame, given: StoredCell | None) -> StoredCell:
    """Raises `MemregError` where nothing says which cell a frame is of, or it is not the one given."""
    known = frame.attrs.get(CELL)
    if given is None and isinstance(known, CellHash):
        return known.cell
    if given is None:
        named = f'registry.cell("{known[:12]}")' if isinstance(known, str) else "registry.cell(...)"
        raise MemregError(f"show(frame): it does not say of which cell its scores are: give cell={named}")
    if known not in (None, given.hash):
        raise MemregError(f"show(frame): it is of cell {known[:12]}, not of {given}")
    return given


def _columns(cell: StoredCell, frame: pd.DataFrame) -> pd.DataFrame:
    """Raises `MemregError` where the rows are not of the cell's training examples."""
    if frame.empty:
        raise MemregError("show(frame): it has no rows")
    labels, examples = cell.given_labels[: cell.n_train], frame["example"].to_numpy()
    if examples.dtype.kind not in "iu" or (examples < 0).any() or (examples >= len(labels)).any():
        raise MemregError(
            f"show(frame): {cell} has training examples 0 to {len(labels) - 1}, not all of these"
        )
    if "label" in frame and (frame["label"].to_numpy() != labels[examples]).any():
        raise MemregError(f"show(frame): its labels are not those of {cell}")
    rows = frame[[key for key in ("example", "score", "low", "high") if key in frame]].copy()
    rows.insert(1, "label", labels[examples])
    return rows


def _highest(scores: pd.DataFrame, n: int) -> tuple[pd.DataFrame, int]:
    """The n highest, of equal ones those with the higher `low`, and how many others equal the last."""
    keys = [key for key in ("score", "low") if key in scores]
    highest = scores.nlargest(n, keys)
    equal = int((scores[keys] == highest[keys].iloc[-1]).all(axis=1).sum())
    return highest, equal - int((highest[keys] == highest[keys].iloc[-1]).all(axis=1).sum())


def _named(cell: StoredCell, rows: pd.DataFrame) -> pd.DataFrame:
    """With the names of classes in place of `label` and `clean_label`, where these are no numbers."""
    if cell.labels_known and not cell.class_names:
        return rows
    for key in ("label", "clean_label"):
        if key in rows:
            rows[key] = [called(cell, label) for label in rows[key]]
    return rows.drop(columns="source_label", errors="ignore")


def _where(dataset: str) -> str:
    """How to say where a data set is, if that helps."""
    kind, found, path = parse(dataset)[0].partition(":")
    if kind in ("folder", "npz"):
        return "" if Path(path).is_absolute() else f"; {path} is looked for in {Path.cwd()}"
    return "" if found else "; data_dir=PATH says where data sets are"


@cache
def _template() -> Template:
    loader = PackageLoader("memreg.show", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(
        "thumbnails.html"
    )
