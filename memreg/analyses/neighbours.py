"""Which examples belong together, as found in a cell's members or as given in a file."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from memreg.analyses.members import read_members
from memreg.design.base import Neighbours
from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_peers, neighbours
from memreg.registry import Registry

GROUPS = TypeAdapter(Neighbours)


def read_neighbours(path: Path) -> tuple[tuple[int, ...], ...]:
    """Groups from a JSON file: a list of lists of training examples, no example twice."""
    try:
        return GROUPS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MemregError(
            f"neighbours={path}: must be a cell, or a JSON file with a list of lists of training examples "
            "in which no example comes twice"
        ) from error


def neighbours_of(text: str, registry: Registry) -> tuple[tuple[int, ...], ...]:
    """Groups by name: those that co-influence finds in a cell's members, or a JSON file's."""
    if Path(text).is_file() or text.endswith(".json"):
        return read_neighbours(Path(text))
    m = read_members(registry, text)
    if m.included.all(0).any():
        raise MemregError(
            f"cell {text} never leaves out some of its examples: who their neighbours are is seen in a cell "
            "of design subsets"
        )
    return neighbours(find_peers(m.included, m.correct_train, m.labels))
