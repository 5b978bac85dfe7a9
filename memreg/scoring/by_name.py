"""Scores of a stored cell by the name of an estimator: closer to leave-one-out's than Feldman & Zhang's, from
members that are stored already."""

from collections.abc import Callable

import pandas as pd

from memreg.errors import MemregError
from memreg.estimators.scores import by_example
from memreg.registry import StoredCell
from memreg.registry.tables import MEMBERS
from memreg.scoring.candidates import candidate_scores
from memreg.scoring.estimated import extrapolated_scores, gaussian_scores, peer_scores, shrunk_scores
from memreg.scoring.leave_one_out import truth_scores
from memreg.scoring.neighbours import cell_of, neighbours_of
from memreg.user_code import called, digest, is_code

Estimator = Callable[[StoredCell], pd.DataFrame]
SCORED = ("score", "standard_error", "low", "high")
CODE = "memreg.code"
"""Attribute of a table of scores: the user's estimator, with the SHA-256 of its source."""
RANKS = ("shrunk",)
"""Estimators whose scores rank examples: neither a mean nor a share above a threshold is taken of them."""

ESTIMATORS: dict[str, Estimator] = {
    "peers": peer_scores,
    "extrapolation": extrapolated_scores,
    "gaussian": gaussian_scores,
    "shrunk": shrunk_scores,
    "candidates": candidate_scores,
    "leave_one_out": truth_scores,
}
"""By the name that `scores-<name>.parquet` has."""


def scores_by(estimator: str, cell: StoredCell, neighbours: str | None = None) -> pd.DataFrame:
    """A row per training example: `example`, `label`, `score`, `standard_error`, `low`, `high`, and more.

    neighbours: of `peers`, as `neighbours_of` reads it; of `candidates` the pilot, a cell.
    """
    if estimator not in ESTIMATORS and not is_code(estimator):
        known = ", ".join(ESTIMATORS)
        raise MemregError(f"unknown estimator '{estimator}': one of {known}, or package.module:function")
    if neighbours is None:
        table = of_the_user(estimator, cell) if is_code(estimator) else ESTIMATORS[estimator](cell)
    elif estimator == "peers":
        table = peer_scores(cell, neighbours_of(neighbours, cell.registry.tracking_uri, cell))
    elif estimator == "candidates":
        pilot = cell_of(neighbours, cell.registry.tracking_uri, cell)
        table = candidate_scores(cell, pilot)
        table.attrs[MEMBERS] = {each.hash: each.count for each in (cell, pilot)}
    else:
        raise MemregError(f"{estimator} uses no neighbours: leave them out")
    table.attrs.setdefault(MEMBERS, {cell.hash: cell.count})
    return table


def of_the_user(name: str, cell: StoredCell) -> pd.DataFrame:
    """What `package.module:function` makes of a stored cell: a frame of a row per training example, in order,
    with `score`, `standard_error`, `low` and `high`, NaN for an example without a score."""
    table = called("estimator", name, cell)
    wanted = f"it must return a frame of {cell.n_train} rows with numbers {', '.join(SCORED)}"
    if not isinstance(table, pd.DataFrame):
        raise MemregError(f"estimator {name}: returned {type(table).__name__}: {wanted}")
    missing = [key for key in SCORED if key not in table or not pd.api.types.is_numeric_dtype(table[key])]
    if len(table) != cell.n_train or missing:
        lacks = f"without {missing[0]}" if missing else f"of {len(table)} rows"
        raise MemregError(f"estimator {name}: returned a frame {lacks}: {wanted}")
    table = table.drop(columns=["example", "label"], errors="ignore").reset_index(drop=True)
    table.attrs[CODE] = {name: digest("estimator", name)}
    return by_example(table, cell.given_labels)
