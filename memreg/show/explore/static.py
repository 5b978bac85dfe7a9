"""One page that has everything about a cell in it, and needs no server and no network."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.data import Dataset
from memreg.errors import MemregError
from memreg.registry import StoredCell
from memreg.show.explore import tiles, told
from memreg.show.explore.assets import SCRIPTS, STYLE, filled, read
from memreg.show.explore.packed import pack

MOST = 2000  # examples with images: more make the page slow to open
ROOM = 9_800_000  # characters of a page; margins of members are left out where they do not fit
ACROSS = 50  # tiles of a row of the sheet
SMALL = 64  # pixels of a tile of the sheet, at most


def page(cell: StoredCell, dataset: Dataset | None, why: str = "") -> str:
    """The page. dataset: the cell's, None where it is not at hand, and then `why`.

    Of more than MOST training examples it has those whose labels are most surely wrong, and those with the
    highest scores, and says so. Raises `MemregError` where the cell has no scores.
    """
    first = told.first_scores(cell)
    scores = told.score_columns(cell, first)
    content: dict[str, Any] = {}
    try:
        labels = told.label_columns(cell)
    except MemregError as error:  # nobody can check
        labels, content = {"example": np.empty(0, np.int64)}, {"unchecked": str(error)}
    shown = _shown(labels["example"], scores["score"])
    about = told.about(cell, []) | {"first": first or "", "estimators": [first or ""], "only": len(shown)}
    columns: dict[str, told.Columns] = {
        "examples": told.example_columns(cell),
        "scores": scores,
        "shown": {"example": shown},
        "labels": _among(labels, shown),
    }
    content |= {"files": told.files(cell, shown), "across": ACROSS, "likely": len(labels["example"])}
    if dataset is None:
        about["without_images"] = why
    else:
        images = dataset.train_images[shown]
        height, width = images.shape[1:3]
        about |= {"height": height, "width": width, "side": tiles.side((height, width), SMALL)}
        content["sheet"] = _sheet(images)
    packed = {name: base64.b64encode(pack(c)).decode() for name, c in columns.items()}
    without = _filled({"about": about, "columns": packed, **content})
    if (members := _margins(cell, shown, ROOM - len(without))) is None:
        return without
    content |= {"members": members[0], "exact": members[1]}
    packed["members"] = base64.b64encode(pack(members[2])).decode()
    return _filled({"about": about, "columns": packed, **content})


def _shown(suspects: NDArray[np.int64], scores: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """At most MOST examples, ascending: half of the room for suspects, if there are so many."""
    highest = np.argsort(-np.nan_to_num(scores, nan=-2), kind="stable")
    first = suspects if len(scores) <= MOST else suspects[: MOST // 2]
    return np.sort(list(dict.fromkeys([*first.tolist(), *highest.tolist()]))[:MOST])


def _among(columns: told.Columns, shown: NDArray[np.int64]) -> told.Columns:
    kept = np.isin(columns["example"], shown)
    return {name: values[kept] for name, values in columns.items()}


def _margins(cell: StoredCell, shown: NDArray[np.int64], room: int) -> tuple[int, bool, told.Columns] | None:
    """How many members did not diverge, whether their margins are from logits, and, member by member, what
    each saw and how sure it is; None where that is too much, or not known."""
    if (5 * len(shown) * cell.metrics.get("members", math.inf) + 1000) * 4 / 3 > room:
        return None
    members = cell.members("included", "predicted", "margin").kept()
    margin = members.margin[:, shown].astype(np.float32)
    if np.isnan(margin).all():
        return None
    included = members.included[:, shown].astype(float)
    columns = {"margin": margin.ravel(), "included": np.ascontiguousarray(included, "uint8").ravel()}
    return len(members), bool(members.exact.all()), columns


def _sheet(images: NDArray[np.uint8]) -> str:
    data, kind = tiles.encoded(tiles.sheet(images, ACROSS, SMALL), max(images.shape[1:3]) <= tiles.EXACT)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _filled(content: Mapping[str, Any]) -> str:
    """The page with its style, its scripts and this content in it; only these scripts may run."""
    scripts = "\n".join(read(name) for name in SCRIPTS).replace("</script", "<\\/script")
    digest = base64.b64encode(hashlib.sha256(scripts.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    embedded = json.dumps(content).replace("<", "\\u003c")
    return filled(
        policy=f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        style=f"<style>{read(STYLE)}</style>",
        scripts=f"<script>{scripts}</script>",
        embedded=f'<script type="application/json" id="embedded">{embedded}</script>',
    )
