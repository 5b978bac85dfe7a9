"""What is known of one training example: scores over cells, margins, votes, companions, trace."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Mask
from memreg.estimators.presence import presence
from memreg.estimators.traces import FIT
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED
from memreg.show.explore import told

PICTURES = 8
TRACED = [name for name in FIT if name != "el2n"]


def known(cell: StoredCell, example: int) -> dict[str, Any]:
    """What the cell's members say of a training example; see the functions below."""
    return {
        "example": example,
        **_row(cell, example),
        **of_members(cell, example),
        "trace": trace(cell, example),
    }


def _row(cell: StoredCell, example: int) -> dict[str, Any]:
    row = told.plain(cell.examples.iloc[[example]])[0]
    return {name: value for name, value in row.items() if name not in ("split", "example")}


def of_members(cell: StoredCell, example: int) -> dict[str, Any]:
    """`included`, `excluded`: the label's log odds by the members that did and did not see it; `exact`:
    whether they are from logits. `votes`: how many of the latter predict each class. `peers`, `helps`:
    training and test examples that members are beyond chance surer of for having seen it, by how much in
    `unit`.

    Where an import did not say how sure all members were, correct predictions stand in for log odds in
    `peers` and `helps`, and `unit` is "share".
    """
    classes, n = int(cell.labels.max()) + 1, cell.n_train
    unknown = any(np.isnan(shard.kept().margin).any() for shard in cell.shards("predicted", "margin"))
    margins: dict[bool, list[float]] = {True: [], False: []}
    votes, exact = np.zeros(classes + 1, int), True

    def parts() -> Iterator[tuple[Mask, NDArray[Any]]]:
        nonlocal exact
        for members in (shard.kept() for shard in cell.shards(*COUNTED, "margin")):
            saw, margin = members.included[:, example], members.margin
            np.add.at(votes, np.minimum(members.predicted[~saw, example], classes), 1)
            exact = exact and bool(members.exact.all())
            for seen in (True, False):
                margins[seen].extend(float(m) for m in margin[saw == seen, example] if m == m)
            yield members.included, members.correct(cell.labels) if unknown else margin

    found = presence(parts(), example)
    helped = found.helped(len(cell.labels))
    peers, helps = helped[helped < n], helped[helped >= n]
    return {
        "included": margins[True],
        "excluded": margins[False],
        "votes": votes.tolist(),
        "exact": exact,
        "unit": "share" if unknown else "log odds",
        "peers": _shown(cell, peers, found.effect),
        "helps": _shown(cell, helps, found.effect),
        "peers_count": len(peers),
        "helps_count": len(helps),
    }


def _shown(cell: StoredCell, places: Any, effect: Any) -> list[dict[str, Any]]:
    def one(place: int) -> dict[str, Any]:
        example = place if place < cell.n_train else place - cell.n_train
        known = {"label": int(cell.labels[place]), "effect": float(effect[place])}
        return {"place": place, "example": example, **known}

    return [one(int(place)) for place in places[:PICTURES]]


def trace(cell: StoredCell, example: int) -> dict[str, Any] | None:
    """Mean over the traced members that saw the example and did not diverge, at each checkpoint; None where
    there is none."""
    try:
        traces = cell.traces(*TRACED)
    except MemregError:
        return None
    seen = traces.included[:, example] & np.isfinite(traces["margin"][:, :, example]).all(1)
    if not seen.any():
        return None
    means = {name: traces[name][seen, :, example].astype(float).mean(0).tolist() for name in TRACED}
    return {"members": int(seen.sum()), "steps": traces.steps.tolist(), **means}


def over_cells(
    example: int, cells: Iterable[StoredCell], scores: Callable[[StoredCell], tuple[str | None, told.Columns]]
) -> list[dict[str, Any]]:
    """The example's score in each cell that has its data set and gives it one.

    scores: of a cell, an estimator and its `told.score_columns`; raises `MemregError` where it has none.
    """
    rows = []
    for cell in cells:
        try:
            estimator, columns = scores(cell)
        except MemregError:
            continue
        found = {name: float(columns[name][example]) for name in ("score", "low", "high")}
        if found["score"] == found["score"]:
            about = {"cell": cell.hash, "model": cell.cell.recipe.model, "estimator": estimator or ""}
            rows.append({**about, "test_accuracy": cell.metrics.get("test_accuracy"), **found})
    return rows
