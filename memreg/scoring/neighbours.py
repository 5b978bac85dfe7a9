"""Which examples belong together: as found in a cell's members, or as given in a file."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg.design import Candidates, Spread
from memreg.design.base import check_examples
from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_alike, find_peers, neighbours
from memreg.estimators.gaussian import LIMIT
from memreg.estimators.similar import similar_groups
from memreg.grid import read_neighbours
from memreg.registry import Registry, StoredCell
from memreg.scoring.outcomes import outcomes, some_without_each

Groups = tuple[tuple[int, ...], ...]
PLANTED = "groups"
LOOKED_AT = 10
"""Members whose features tell who is alike, where they have traced them."""
UNBOUNDED = np.finfo(np.float16).max
"""What a trace keeps of a value that is larger."""
ENOUGH = 0.25
"""Share of the members without an example from which `found_in` tells its neighbours by their log odds. Where
fewer leave it out, one outlying network makes neighbours of all that it left out: at r = 0.7 there are .02
false ones an example, as is aimed at, at r = 0.9 .15, at r = 0.97 .3."""


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


def apart_in(design: Spread | Candidates, pilot: StoredCell) -> tuple[Groups, str]:
    """Groups that a design is to keep apart, and in words what they are found by: of the examples that its
    members leave out, as many in a group as it can keep apart, by features that members of the pilot have
    traced; without such, as `found_in` finds them.
    """
    features = features_of(pilot)
    if features is None:
        return found_in(pilot), f"by co-influence in {pilot.count:,} members"
    among = design.dealt if isinstance(design, Candidates) else range(pilot.n_train)
    groups = similar_groups(features, pilot.train_labels, among, design.kept_apart)
    return groups, f"by the features of {len(features)} members"


def features_of(cell: StoredCell) -> NDArray[np.float16] | None:
    """What the last layer is given of each training example, [k, n_train, width], by those of the first
    LOOKED_AT members with a trace that have kept it and did not diverge; None where none has."""
    found: list[NDArray[np.float16]] = []
    n = len(cell.train_labels)
    for trace in islice(cell.each_trace("features"), LOOKED_AT):
        values = trace.quantities.get("features")
        if values is not None and values.shape[1:2] == (n,) and (np.abs(values) < UNBOUNDED).all():
            found.append(values[0])
    return np.stack(found) if found else None


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
