"""Which examples belong together: as found in a cell's members, or as given in a file."""

from pathlib import Path

from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_peers, neighbours
from memreg.grid import read_neighbours
from memreg.registry import Registry
from memreg.scoring.members import read_members

GROUPS = "groups"


def neighbours_of(text: str, registry: Registry, of: str | None = None) -> tuple[tuple[int, ...], ...]:
    """Groups by name: those that co-influence finds in a cell's members, a JSON file's, or `groups`, those
    that were planted in the data set of the cell `of`."""
    if text == GROUPS and of is not None:
        examples = registry.examples(of)
        if "group" not in examples:
            raise MemregError(f"neighbours=groups: cell {of} has no planted sub-populations")
        planted = examples[(examples["split"] == "train") & (examples["group"] >= 0)]
        return tuple(tuple(rows) for rows in planted.groupby("group")["example"].apply(list) if len(rows) > 1)
    if Path(text).is_file() or text.endswith(".json"):
        return read_neighbours(Path(text))
    m = read_members(registry, text)
    if m.included.all(0).any():
        raise MemregError(
            f"cell {text} never leaves out some of its examples: who their neighbours are is seen in a cell "
            "of design subsets"
        )
    return neighbours(find_peers(m.included, m.correct_train, m.labels))
