"""What a grid names, opened: data sets, models that fit them, and so cells with their hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import models
from memreg.cell import Cell
from memreg.data import Dataset, load, load_stored
from memreg.design import Design, Imported
from memreg.engines.trial import try_model
from memreg.errors import MemregError
from memreg.grid import Planned

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
    for plan in planned:
        if plan.dataset not in datasets:
            datasets[plan.dataset] = opened(plan.dataset, data_dir)
        dataset = datasets[plan.dataset]
        key = (plan.recipe.model, dataset.image_shape, dataset.classes)
        if key not in parameters:
            try_model(*key)
            parameters[key] = models.parameters(models.build(*key))
        plan.design.check(dataset.n_train)
        cell = Cell(
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            recipe=plan.recipe,
            design=plan.design,
        )
        if cell.hash in resolved:
            raise MemregError(f"the same cell is listed twice: {cell.recipe.model} on {cell.dataset}")
        resolved[cell.hash] = Resolved(cell, plan.members, parameters[key], dataset)
    return list(resolved.values())


def resolve_like(
    source: Cell,
    designs: Sequence[tuple[Design, int]],
    data_dir: Path | None = None,
    named: str | None = None,
) -> list[Resolved]:
    """The cells of a stored cell's data set and recipe with other designs, and as many members of each.

    named: that data set, by the user, where it is code.
    """
    if isinstance(source.design, Imported):
        raise MemregError(
            f"cell {source.hash[:12]} was imported: how to train more of its networks is not known"
        )
    planned = [Planned(source.dataset, source.recipe, design, members) for design, members in designs]
    resolved = resolve(planned, data_dir, partial(load_stored, named=named, verify=True))
    if any(item.cell.dataset_fingerprint != source.dataset_fingerprint for item in resolved):
        raise MemregError(
            f"data set {source.dataset} has changed since cell {source.hash[:12]} was trained: put it back"
        )
    return resolved
