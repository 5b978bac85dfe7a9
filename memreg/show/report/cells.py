"""What the page says of each cell: its row, the distribution of its scores, its most memorized images."""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from memreg.cell import Cell
from memreg.data import Dataset
from memreg.design import CHOSEN
from memreg.errors import MemregError
from memreg.estimators.statistics import HEADLINE, bound_keys, fraction_key
from memreg.estimators.threshold import reaches
from memreg.registry import Registry, StoredCell
from memreg.show.labelled import called, truth
from memreg.wording import counted

MOST = 8  # images of a cell
FEW = 3  # cells, of a study whose cells' own figures are shown where it has none
ROOM = 2_500_000  # characters of images on the page
SHOWN = 128  # pixels, at most
EDGES = np.linspace(-0.25, 1, 51)
RECIPE = (
    "dataset", "model", "parameters", "epochs", "batch_size", "learning_rate", "warmup", "momentum",
    "weight_decay", "augmentation", "precision", "design", "r", "design_seed",
)  # fmt: skip
METRICS = (
    "members",
    "test_accuracy",
    fraction_key(HEADLINE),
    *bound_keys(HEADLINE),
    "mean_score",
)


@dataclass(frozen=True)
class Bar:
    """Of a histogram: left edge and height, each from 0 to 1."""

    x: float
    height: float


@dataclass(frozen=True)
class CellPart:
    row: dict[str, Any]
    """Of `Registry.cells`."""
    bars: list[Bar]
    distribution: str
    """`bars` in words."""
    memorized: list[dict[str, Any]]
    """Rows of scores.parquet with the highest scores; `image`, a data URI or ""; `called`, the label's class,
    and `truth`, that of the true label where it is another one, else ""."""
    without_images: str
    """Why there are none, else ""."""
    figure: str
    """Of its scores, a data URI or ""."""
    first: bool
    """Whether no other cell of its data set has a higher test accuracy."""


def differing(table: pd.DataFrame) -> tuple[dict[str, Any], list[str]]:
    """Params that all cells share, with their values, and the names of those in which they differ."""
    known = [key for key in RECIPE if key in table and table[key].notna().any()]
    varied = [key for key in known if table[key].nunique(dropna=False) > 1 or key in ("dataset", "model")]
    return {key: table[key].iloc[0] for key in known if key not in varied}, varied


def cell_parts(
    registry: Registry, table: pd.DataFrame, opened: Callable[[Cell], Dataset]
) -> Iterator[CellPart]:
    """A part per row of `Registry.cells`. Images are left out once they have taken their room."""
    room, seen = ROOM, set[str]()
    alone = len(table) <= FEW
    rows = records(table.reindex(columns=table.columns.union(pd.Index(METRICS), sort=False)))
    for row, cell in zip(rows, registry.cells_by_run(table["run_id"]), strict=True):
        scores = None if row["design"] == "removal" else _scores(cell)
        if scores is None:
            yield CellPart(row, [], "", [], "", "", first=False)
            continue
        best = cell.described(most_memorized(scores))
        images, reason = [""] * len(best), ""
        try:
            shown = opened(cell.cell).train_images[best["example"].to_numpy()]
            images = [png(image) for image in shown]
            if sum(map(len, images)) > room:
                images = [""] * len(best)
                raise MemregError("the page has as many images as it can hold")
        except MemregError as error:
            reason = str(error)
        room -= sum(map(len, images))
        memorized = [
            {**e, "image": image, "called": called(cell, e["label"]), "truth": truth(cell, e["example"])}
            for e, image in zip(records(best), images, strict=True)
        ]
        values, first = scores["score"].to_numpy(), row["dataset"] not in seen
        seen.add(row["dataset"])
        figure = _figure(cell) if alone else ""
        yield CellPart(
            row, histogram(values), in_words(values, row["design"]), memorized, reason, figure, first
        )


def most_memorized(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows with the highest scores. Ties are broken by the lower end of the interval, by how many members
    left the example out, by how many had it, and last by its index."""
    order = ["score", "low", "excluded_count", "included_count"]
    keys = [key for key in order if key in scores]
    return scores.sort_values([*keys, "example"], ascending=[False] * len(keys) + [True]).head(MOST)


def _figure(cell: StoredCell) -> str:
    """The distribution of its scores as it is drawn with the cell."""
    drawn = "figures/scores.png"
    known = drawn in cell.artifacts.names("figures", ".png")
    return data_uri(cell.artifacts.get(drawn).read_bytes()) if known else ""


def histogram(scores: NDArray[np.float64]) -> list[Bar]:
    """Heights are logarithms of counts: most examples score about 0, and one looks for the others."""
    count = np.log1p(np.histogram(np.clip(scores, EDGES[0], EDGES[-1]), EDGES)[0])
    width = EDGES[-1] - EDGES[0]
    return [
        Bar(float((x - EDGES[0]) / width), float(height / count.max()))
        for x, height in zip(EDGES[:-1], count, strict=True)
        if height
    ]


def in_words(scores: NDArray[np.float64], design: str) -> str:
    parts = [f"{reaches(scores, t).mean():.1%} score {t:g} or more" for t in (0.25, 0.5, 0.75)]
    of = "chosen example" if design in CHOSEN else "example"
    return f"{counted(len(scores), of)}: {', '.join(parts)}; median {np.median(scores):.3f}"


def png(image: NDArray[np.uint8]) -> str:
    """An image [height, width, channels] as a data URI, no larger than it is shown."""
    stream, picture = io.BytesIO(), Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((SHOWN, SHOWN))
    picture.save(stream, "PNG")
    return data_uri(stream.getvalue())


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _scores(cell: StoredCell) -> pd.DataFrame | None:
    """Read the scores of the examples that have one, leave-one-out's where the cell is of that kind."""
    for estimator in (None, "leave_one_out"):
        try:
            found = cell.scores(estimator).dropna(subset="score")
        except MemregError:
            continue
        if len(found):
            return found
    return None


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
