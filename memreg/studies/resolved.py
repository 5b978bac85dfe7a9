"""What a grid names, opened: data sets, models that fit them, and so cells with their hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from memreg import models
from memreg.cell import Cell
from memreg.data import Dataset, load, load_stored
from memreg.data.augmentation import of_the_user
from memreg.design import Design, Imported
from memreg.engines.trial import try_model
from memreg.errors import MemregError
from memreg.grid import Planned
from memreg.recipe import Recipe
from memreg.training import optimizer_of_the_user
from memreg.user_code import digest

verified = partial(load, verify=True)


@dataclass(frozen=True)
class Resolved:
    """A planned cell with its data set opened and its model tried on it."""

    cell: Cell
    members: int
    parameters: int
    dataset: Dataset

    @property
    def wanted(self) -> range:
        """Members that are asked for, by index."""
        return range(self.members)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Of all N examples, training first."""
        return np.concatenate([self.dataset.train_labels, self.dataset.test_labels])

    def examples(self) -> pd.DataFrame:
        """As examples.parquet."""
        return self.dataset.examples()


def resolve(
    planned: Sequence[Planned],
    data_dir: Path | None = None,
    opened: Callable[[str, Path | None], Dataset] = verified,
) -> list[Resolved]:
    """Open every data set and build every model once: what cannot be trained is refused here."""
    datasets: dict[str, Dataset] = {}
    parameters: dict[tuple[str, tuple[int, int, int], int], int] = {}
    resolved: dict[str, Resolved] = {}
    tried = set[tuple[object, ...]]()
    for plan in planned:
        if plan.dataset not in datasets:
            datasets[plan.dataset] = opened(plan.dataset, data_dir)
        dataset = datasets[plan.dataset]
        key = (plan.recipe.model, dataset.image_shape, dataset.classes)
        if key not in parameters:
            try_model(*key)
            parameters[key] = models.parameters(models.build(*key))
        plan.design.check(dataset.n_train)
        if (parts := (*key, plan.recipe.optimizer, plan.recipe.augmentation)) not in tried:
            _try_parts(plan.recipe, key)
            tried.add(parts)
        cell = Cell(
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            recipe=plan.recipe,
            design=plan.design,
            code=_code(plan),
        )
        if cell.hash in resolved:
            raise MemregError(f"the same cell is listed twice: {cell.recipe.model} on {cell.dataset}")
        resolved[cell.hash] = Resolved(cell, plan.members, parameters[key], dataset)
    return list(resolved.values())


def _try_parts(recipe: Recipe, key: tuple[str, tuple[int, int, int], int]) -> None:
    """Raise `MemregError` where the user's optimizer or augmentation is none; key: for `models.build`."""
    if recipe.optimizer is not None:
        optimizer_of_the_user(recipe.optimizer, list(models.build(*key).parameters()))
    if isinstance(recipe.augmentation, str):
        of_the_user(recipe.augmentation, torch.Generator())(torch.zeros(2, *key[1]))


def _code(plan: Planned) -> tuple[tuple[str, str], ...]:
    """The user's code that a cell names, each with the digest of its source."""
    return tuple(sorted({(name, digest(what, name)) for what, name in plan.code.items()}))


def resolve_like(
    source: Cell,
    designs: Sequence[tuple[Design, int]],
    data_dir: Path | None = None,
    named: str | None = None,
    code: str | None = None,
) -> list[Resolved]:
    """The cells of a stored cell's data set and recipe with other designs, and as many members of each.

    named, code: by the user, the data set where it is code, and what of the recipe is, with commas between.
    """
    if isinstance(source.design, Imported):
        raise MemregError(
            f"cell {source.hash[:12]} was imported: how to train more of its networks is not known"
        )
    _known_to_the_user(source, code)
    planned = [Planned(source.dataset, source.recipe, design, members) for design, members in designs]
    resolved = resolve(planned, data_dir, partial(load_stored, named=named, verify=True))
    if any(item.cell.dataset_fingerprint != source.dataset_fingerprint for item in resolved):
        raise MemregError(
            f"data set {source.dataset} has changed since cell {source.hash[:12]} was trained: put it back"
        )
    for name, digest_ in source.recipe_code:
        if any(dict(item.cell.code)[name] != digest_ for item in resolved):
            raise MemregError(
                f"{name} has changed since cell {source.hash[:12]} was trained with it: put it back, or "
                "train that cell anew"
            )
    return resolved


def _known_to_the_user(source: Cell, code: str | None) -> None:
    """Raise `MemregError` unless the user names the code of the recipe: it never runs because a registry says
    so."""
    own, said = (
        [*source.recipe.code.values()],
        [name.strip() for name in (code or "").split(",") if name.strip()],
    )
    if unsaid := [name for name in own if name not in said]:
        raise MemregError(
            f"{unsaid[0]}, of cell {source.hash[:12]}, is code, which never runs because a registry says so: "
            f"if you know it, name it yourself, by code={','.join(own)}"
        )
    if other := [name for name in said if name not in own]:
        raise MemregError(f"code={other[0]}: the cell's recipe names no such code")
