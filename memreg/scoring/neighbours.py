"""Which examples belong together: as found in a cell's members, or as given in a file."""

from pathlib import Path

import numpy as np

from memreg.design.base import check_examples
from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_alike, find_peers, neighbours
from memreg.estimators.gaussian import LIMIT
from memreg.grid import read_neighbours
from memreg.registry import Registry, StoredCell
from memreg.scoring.outcomes import outcomes, some_without_each

Groups = tuple[tuple[int, ...], ...]
PLANTED = "groups"
ENOUGH = 0.25
"""Share of the members without an example from which their log odds tell its neighbours. Where fewer leave it
out, one outlying network makes neighbours of all that it left out: at r = 0.7 there are .02 false ones an
example, as is aimed at, at r = 0.9 .15, at r = 0.97 .3."""


def neighbours_of(text: str, tracking_uri: str | None, of: StoredCell | None = None) -> Groups:
    """Groups by name: `groups`, those that were planted in the data set of the cell `of`; a JSON file's; or
    those that co-influence finds in the members of a cell. Raises `MemregError` for examples that are none of
    the data set of `of`, and for a cell of another data set.
    """
    if text == PLANTED and of is not None:
        return planted(of)
    if Path(text).is_file() or text.endswith(".json"):
        groups = read_neighbours(Path(text))
        if of is not None:
            check_examples("neighbours", (max(group) for group in groups), of.n_train)
        return groups
    return found_in(cell_of(text, tracking_uri, of))


def cell_of(text: str, tracking_uri: str | None, of: StoredCell | None = None) -> StoredCell:
    """A stored cell. Raises `MemregError` where it is none, and where its data set is not that of `of`."""
    cell = Registry(tracking_uri).cell(text)
    if of is not None and cell.cell.dataset_fingerprint != of.cell.dataset_fingerprint:
        raise MemregError(f"neighbours={text} is of another data set ({cell.cell.dataset}) than {of}")
    return cell


def planted(cell: StoredCell) -> Groups:
    """Sub-populations of two and more examples that were planted in a cell's data set."""
    examples = cell.examples
    if "group" not in examples:
        raise MemregError(f"neighbours=groups: {cell} has no planted sub-populations")
    own = examples[(examples["split"] == "train") & (examples["group"] >= 0)]
    return tuple(tuple(rows) for rows in own.groupby("group")["example"].apply(list) if len(rows) > 1)


def found_in(cell: StoredCell) -> Groups:
    """Groups of examples that teach networks about each other.

    They are found by log odds where all members have them from logits and enough leave out each example, else
    by what members got right.
    """
    found = outcomes(cell)
    some_without_each(cell, found, "finding neighbours")
    members = cell.members("predicted", "margin").kept()
    margin = members.margin[:, : cell.n_train].astype(np.float32)
    enough = (~found.included).mean(0).min() >= ENOUGH
    if enough and members.exact.all() and not np.isnan(margin).any():
        alike = find_alike([(found.included, np.clip(margin, -LIMIT, LIMIT))], cell.train_labels)
    else:
        alike = find_peers(found.included, found.correct_train, cell.train_labels)
    return neighbours(alike)
