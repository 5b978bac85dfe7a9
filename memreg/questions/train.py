"""`memreg train`: train the members of one cell."""

from collections.abc import Mapping
from typing import Any

from memreg.cell import Cell
from memreg.data.loading import FUNCTION
from memreg.data.name import canonical, parse
from memreg.design import Candidates, Imported, Spread, Subsets
from memreg.errors import MemregError, OutageError
from memreg.grid import Grid, plan_cell
from memreg.questions.corr_grid import run_grid
from memreg.questions.correlation import Correlated
from memreg.recipe import SGD, Recipe
from memreg.registry import Registry, StoredCell
from memreg.requests.train import Request
from memreg.scoring.candidates import candidates_of
from memreg.scoring.neighbours import apart_in
from memreg.studies.progress import Progress
from memreg.studies.study import Outcome, Where
from memreg.user_code import is_code

COMPARED = ("epochs", "batch_size", "learning_rate", "warmup", "momentum")
"""Fields of a recipe that the cells of a study usually share."""
AUDITED = 40
"""Examples of an audit, where it is not said: the largest of their scores then bounds 95 % of the others'."""


def run(
    request: Request, cell: Mapping[str, Any], where: Where, progress: Progress
) -> Outcome[Correlated | None]:
    """Train what is missing of a cell, and score it. cell: fields of its recipe and design."""
    request.check(cell)
    given = dict(cell) if request.dataset is None else {"dataset": request.dataset, **cell}
    registry = None
    if request.like is not None:
        registry = Registry(where.tracking_uri)
        given = _like(registry.cell(request.like).cell, given)
    fields = {"members": request.members, **given}
    named, pilot = fields.get("neighbours"), None
    if named and not named.endswith(".json"):
        pilot = _pilot(named, fields["dataset"], Registry(where.tracking_uri))
        fields["neighbours"] = ()  # who they are depends on the rest of the design
    if "candidates" in fields and not fields["candidates"].endswith(".json"):
        fields |= _candidates(fields, pilot)
    planned = plan_cell(fields, "train")
    if pilot is not None and isinstance(planned.design, Spread | Candidates):
        planned.design.check(pilot.n_train)
        groups, found_by = apart_in(planned.design, pilot)
        progress.say(f"examples to keep apart, {found_by} of cell {pilot.hash[:12]}: {len(groups):,} groups")
        planned = plan_cell(fields | {"neighbours": groups}, "train")
    if others := _others(request.study, planned.recipe, given, where):
        progress.say(others)
    return run_grid(Grid("train", "One cell.", (planned,)), request.study, where, progress)


def _like(source: Cell, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stored cell, with those that are given in their place.

    Raises `MemregError` where that leaves code that only the registry names.
    """
    if isinstance(source.design, Imported):
        raise MemregError(f"like={source.hash[:12]}: the cell was imported, and its recipe is not known")
    fields: dict[str, Any] = {"dataset": source.dataset, **source.recipe.known()}
    if isinstance(source.design, Subsets):
        fields |= {"r": source.design.r, "design_seed": source.design.seed}
    if given.get("design", "subsets") != "subsets":
        fields = {key: value for key, value in fields.items() if key not in ("r", "design_seed")}
    for key, value in fields.items():
        code = FUNCTION.fullmatch(parse(value)[0]) if key == "dataset" else is_code(value)
        if code and key not in given:
            raise MemregError(
                f"like={source.hash[:12]}: {key} is {value}, code, which never runs because a registry says "
                f"so: if you know it, name it yourself, by {key}={value}"
            )
    if "optimizer" in given:  # it has rates of its own
        fields = {key: value for key, value in fields.items() if key not in SGD}
    return fields | dict(given)


def _others(study: str, recipe: Recipe, given: Mapping[str, Any], where: Where) -> str:
    """What all cells that the study has so far share, and this one has another default of; "" for nothing."""
    try:
        table = Registry(where.tracking_uri).cells(study)
    except OutageError:
        raise
    except MemregError:  # there is no such study yet, or no registry
        return ""
    shared = {key: table[key].dropna().unique() for key in COMPARED if key in table and key not in given}
    other = {
        key: values[0]
        for key, values in shared.items()
        if len(values) == 1 and values[0] != getattr(recipe, key)
    }
    if not other:
        return ""
    theirs = ", ".join(f"{key}={value:g}" for key, value in other.items())
    own = ", ".join(f"{key}={getattr(recipe, key):g}" for key in other)
    like = table["cell"].iloc[0][:8]
    return (
        f"the cells of study {study} have {theirs}; this one has {own}, by default: "
        f"--like {like} takes theirs"
    )


def _pilot(named: str, dataset: str, registry: Registry) -> StoredCell:
    """A stored cell of the same data set."""
    cell = registry.cell(named)
    if cell.cell.dataset != canonical(*parse(dataset)):
        raise MemregError(f"neighbours={named} is a cell of another data set than {dataset}")
    return cell


def _candidates(fields: Mapping[str, Any], pilot: StoredCell | None) -> dict[str, Any]:
    """Candidates and audit, chosen by the cell in which neighbours are found."""
    text, audit = fields["candidates"], fields.get("audit", AUDITED)
    if pilot is None:
        raise MemregError(f"candidates={text}: a cell of design subsets chooses them: say neighbours=CELL")
    if not isinstance(audit, int) or isinstance(audit, bool) or audit < 0:
        raise MemregError(f"audit={audit}: a whole number of examples, as {AUDITED}")
    candidates, audited = candidates_of(pilot, text, audit, int(fields.get("design_seed", 0)))
    return {"candidates": candidates, "audit": audited}
