"""A grid: a YAML file that lists cells. docs/grids.md says what it may hold."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from memreg import shipped
from memreg.design import Design, Examples, GridDesign, Neighbours
from memreg.errors import MemregError
from memreg.parameters import did_you_mean, first_error
from memreg.recipe import Recipe
from memreg.user_code import is_code

DESIGN_KEYS = {
    "design": "kind",
    "design_seed": "seed",
    "design_version": "version",
    "r": "r",
    "neighbours": "neighbours",
    "candidates": "candidates",
    "audit": "audit",
}
FOLDER = "grids"
GRID_KEYS = ("name", "description", "members", "defaults", "cells")
NEIGHBOURS = TypeAdapter(Neighbours)
EXAMPLES = TypeAdapter(Examples)
MEMBERS = TypeAdapter(Annotated[int, Field(ge=1, le=10_000_000, title="members")])
DATASET_LENGTH = 500
MOST_CELLS = 100_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Planned:
    """A cell as a grid names it, before its data set is opened, and how many members it shall have."""

    dataset: str
    recipe: Recipe
    design: Design
    members: int

    @property
    def code(self) -> dict[str, str]:
        """What of it is the user's code: `model`, `augmentation`, `optimizer` or `design` -> its name."""
        named = {"design": getattr(self.design, "function", None)} | self.recipe.code
        return {what: name for what, name in named.items() if name is not None}


@dataclass(frozen=True)
class Grid:
    name: str
    description: str
    cells: tuple[Planned, ...]


def load_grid(name: str, members: int | None = None) -> Grid:
    """A shipped grid by name, or a grid file by path; `members` overrides what it says of every cell."""
    return parse_grid(shipped.read("grid", name, FOLDER), where=f"grid {name}", members=members)


def parse_grid(content: object, where: str, members: int | None = None) -> Grid:
    """Validate a grid's content. Lists in a cell multiply out: two models x two rates are four cells."""
    if not isinstance(content, Mapping):
        raise MemregError(f"{where}: must be a mapping with the keys {', '.join(GRID_KEYS)}")
    _known(content, GRID_KEYS, where)
    name = check_name(content.get("name"), where)
    defaults = content.get("defaults") or {}
    entries = content.get("cells")
    if not isinstance(defaults, Mapping):
        raise MemregError(f"{where}: defaults must be a mapping of cell keys to values")
    if not isinstance(entries, list) or not entries:
        raise MemregError(f"{where}: cells must be a list with at least one cell")
    cells: list[Planned] = []
    for number, entry in enumerate(entries, 1):
        here = f"{where}, cell {number}"
        if not isinstance(entry, Mapping):
            raise MemregError(f"{here}: must be a mapping, not {entry!r}")
        whole = {"members": content.get("members", 40), **defaults, **entry}
        if members is not None:
            whole["members"] = members
        for flat in _product(whole, here):
            planned = plan_cell(flat, here)
            if any(_same(planned, other) for other in cells):
                raise MemregError(
                    f"{here}: the same cell is listed twice ({planned.recipe.model} on {planned.dataset})"
                )
            cells.append(planned)
    return Grid(name, str(content.get("description") or ""), tuple(cells))


def check_name(name: object, where: str) -> str:
    """The name of a grid or a study, which becomes part of tags, links and files."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise MemregError(
            f"{where}: name must be up to 200 letters, digits, '.', '_' and '-', not {str(name)[:210]!r}"
        )
    return name


def check_dataset(name: object, where: str) -> str:
    """The name of a data set, as long as MLflow keeps it."""
    if not isinstance(name, str) or not 0 < len(name) <= DATASET_LENGTH:
        raise MemregError(
            f"{where}: dataset must name a data set, as digits, in {DATASET_LENGTH} characters at most"
        )
    return name


def plan_cell(flat: Mapping[str, Any], where: str) -> Planned:
    """A cell from its flat fields, named as its MLflow params are."""
    _known(flat, ("dataset", "members", *Recipe.model_fields, *DESIGN_KEYS), where)
    check_dataset(flat.get("dataset"), where)
    if "model" not in flat:
        raise MemregError(f"{where}: model must name a model, as vgg6 or resnet18")
    design: dict[str, Any] = {"kind": "subsets"}
    design |= {DESIGN_KEYS[key]: value for key, value in flat.items() if key in DESIGN_KEYS}
    if is_code(design["kind"]):
        design |= {"kind": "named", "function": design["kind"]}
    for key, value in flat.items():
        if isinstance(value, bool) and key not in ("augmentation", "dataset", "model"):
            raise MemregError(
                f"{where}: {key}: must be a value, not {str(value).lower()} (or yes, no, on, off)"
            )
    for key in ("neighbours", "candidates", "audit"):
        if isinstance(design.get(key), str):
            design[key] = (read_neighbours if key == "neighbours" else read_examples)(Path(design[key]))
    if isinstance(design.get("audit"), int):
        raise MemregError(
            f"{where}: audit={design['audit']}: beside a JSON file of candidates it is one too, with a list "
            "of training examples"
        )
    try:
        return Planned(
            flat["dataset"],
            Recipe(**{key: value for key, value in flat.items() if key in Recipe.model_fields}),
            TypeAdapter(GridDesign).validate_python(design),
            MEMBERS.validate_python(flat["members"]),
        )
    except ValidationError as error:
        raise MemregError(f"{where}: {first_error(error)}") from error


def read_neighbours(path: Path) -> tuple[tuple[int, ...], ...]:
    """Groups from a JSON file: a list of lists of training examples, no example twice."""
    try:
        return NEIGHBOURS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MemregError(
            f"neighbours={path}: must be a JSON file with a list of lists of training examples in which no "
            "example comes twice, or, on the command line, a cell"
        ) from error


def read_examples(path: Path) -> tuple[int, ...]:
    """Training examples from a JSON file: a list of indices, none twice."""
    try:
        return EXAMPLES.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise MemregError(
            f"{path}: must be a JSON file with a list of training examples, none of them twice"
        ) from error


def _product(entry: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    for key, value in entry.items():
        if value == []:
            raise MemregError(
                f"{where}: {key}: the list is empty, so there would be no cell: name one or more"
            )
    axes = [value if isinstance(value, list) else [value] for value in entry.values()]
    if (count := math.prod(map(len, axes))) > MOST_CELLS:
        raise MemregError(f"{where}: its lists multiply out to {count} cells: {MOST_CELLS} at most")
    return [dict(zip(entry, values, strict=True)) for values in itertools.product(*axes)]


def _same(a: Planned, b: Planned) -> bool:
    return (a.dataset, a.recipe, a.design) == (b.dataset, b.recipe, b.design)


def _known(content: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in content:
        if key not in keys:
            hint = did_you_mean(str(key), keys, f"known are {', '.join(keys)}")
            raise MemregError(f"{where}: unknown key '{key}': {hint}")
