"""`memreg datamodel`: which training examples make networks sure of others (Ilyas et al. 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.data.stored import images_of
from memreg.errors import MemregError
from memreg.estimators.datamodel import FEWEST, Datamodels, counting, datamodels, fitted, mean_interval
from memreg.registry import Registry, StoredCell
from memreg.requests.datamodel import Request
from memreg.scoring.targets import choose, needs_scores
from memreg.show import figures
from memreg.show.figures.pictures import Picture
from memreg.show.labelled import label_in_words
from memreg.show.notes import answered

TEST = "test:"
ROWS, NEAREST = 6, 6
"""Of the figure: targets, and training images beside each."""
SEED = 0
"""Of the choice of targets."""


@dataclass(frozen=True)
class Explained:
    """What is answered."""

    cell: Cell
    members: int
    targets: pd.DataFrame
    """A row per target: `split`, `example`, `label`, `lds`, `lds_counted`, `weights` (not 0)."""
    weights: pd.DataFrame
    """`split`, `example`, `train`, `train_label`, `weight`: all that are not 0, by target, largest first."""
    found: Datamodels
    pictures: Figure | str
    """Targets beside the training images with the largest weights, or why they are not shown."""

    @property
    def cells(self) -> list[str]:
        return [self.cell.hash]

    def metrics(self) -> Mapping[str, float]:
        values: dict[str, float] = {"members": self.members, "targets": len(self.targets)}
        for key in ("lds", "lds_counted"):
            ends = (key, f"{key}_low", f"{key}_high")
            values |= dict(zip(ends, mean_interval(getattr(self.found, key)), strict=True))
        return values | {"lds_ceiling": self.found.ceiling}

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {"targets.parquet": self.targets, "datamodel.parquet": self.weights}

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members"
        drawn = {"datamodel": figures.datamodel(self.found, title)}
        return drawn | ({"weights": self.pictures} if isinstance(self.pictures, Figure) else {})

    def in_short(self) -> str:
        m = self.metrics()
        return (
            f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members: linear datamodeling "
            f"score of {len(self.targets):,} targets {m['lds']:.3f} [{m['lds_low']:.3f}, "
            f"{m['lds_high']:.3f}] by LASSO and {m['lds_counted']:.3f} [{m['lds_counted_low']:.3f}, "
            f"{m['lds_counted_high']:.3f}] by counting: how well what networks were trained on predicts how "
            "sure others are of a target (1 is perfect, 0 is nothing)."
        )

    def in_words(self) -> str:
        m = self.metrics()
        said = "Scores are on members that neither has seen; intervals are over targets. "
        said += (
            f"A linear model of any number of members would have about {m['lds_ceiling']:.3f}."
            if self._reliable
            else "That a linear model of more members would do better is not shown: what two halves of the "
            "members predict does not agree."
        )
        nothing = int((self.targets["weights"] == 0).sum())
        if nothing:
            said += f" {nothing:,} targets have no weight but 0: no training example is shown to matter."
        if isinstance(self.pictures, str):
            said += f" The images are left out: {self.pictures}"
        numbers = [
            (_rounded(m, "lds"), "LDS by LASSO: rank correlation of what is predicted and what is"),
            (_rounded(m, "lds_counted"), "LDS by counting, as scores and influence are made"),
            (f"{len(self.targets):,}", "targets: examples of which it is predicted how sure networks are"),
            (f"{self.members:,}", "members, the networks that this is from"),
        ]
        return answered(self.in_short(), numbers, said)

    @property
    def _reliable(self) -> bool:
        return self.found.ceiling == self.found.ceiling and mean_interval(self.found.halves)[1] > 0


def _rounded(metrics: Mapping[str, float], key: str) -> str:
    return f"{metrics[key]:.2f} [{metrics[f'{key}_low']:.2f}, {metrics[f'{key}_high']:.2f}]"


def run(request: Request, registry: Registry) -> Explained:
    """Fit the margins of some examples, and score the fits on members that are held out.

    Raises `MemregError` for targets that are not there, for members without margins, and where there are
    fewer than FEWEST blocks of them.
    """
    cell = registry.cell(request.cell)
    targets = _targets(request.targets, cell)
    members = cell.members("included", "predicted", "margin").kept()
    if not members.exact.all():
        few = int((~members.exact).sum())
        raise MemregError(
            f"{cell}: {few} of {len(members)} members have no margins: a datamodel takes log odds from "
            "logits, which members that are trained now have"
        )
    margin = members.margin[:, targets].astype(float)
    if np.isnan(margin).any():
        raise MemregError(f"{cell} was imported without margins of these targets")
    block = np.array([cell.cell.design.block(int(m)) for m in members.member], np.int64)
    if (blocks := len(np.unique(block))) < FEWEST:
        raise MemregError(
            f"{cell} has {blocks} blocks of members, and a datamodel takes {FEWEST}, better a hundred: train "
            "more"
        )
    used = fitted(block)
    correct = members.correct(cell.labels)[:, targets]
    counted = counting(members.included[used], correct[used])
    found = datamodels(members.included, margin, counted, block)
    named = _named(targets, cell)
    table = named.assign(
        lds=found.lds, lds_counted=found.lds_counted, weights=np.count_nonzero(found.weights, axis=1)
    )
    return Explained(
        cell.cell,
        len(members),
        table,
        _weights(named, found, cell),
        found,
        _pictures(cell, targets, found, request),
    )


def _targets(text: str, cell: StoredCell) -> NDArray[np.int64]:
    """Rows among all N examples."""
    n, tests = cell.n_train, len(cell.labels) - cell.n_train
    if not text.startswith(TEST):
        scores = cell.scores()["score"].to_numpy() if needs_scores(text) else None
        return np.array(choose(text, n, scores, SEED), np.int64)
    number = text.removeprefix(TEST)
    if not number.isdecimal() or not 0 < int(number) <= tests:
        raise MemregError(
            f"targets={text}: test: must be followed by how many of {tests} test examples, as test:50"
        )
    return n + np.array(choose(f"random:{number}", tests, None, SEED), np.int64)


def _named(targets: NDArray[np.int64], cell: StoredCell) -> pd.DataFrame:
    rows = cell.examples.iloc[targets]
    named = rows[["split", "example"]].assign(label=cell.given_labels[targets])
    return named.reset_index(drop=True)


def _weights(named: pd.DataFrame, found: Datamodels, cell: StoredCell) -> pd.DataFrame:
    row, train = np.nonzero(found.weights)
    table = named.iloc[row][["split", "example"]].reset_index(drop=True)
    table["train"], table["train_label"] = train, cell.given_labels[train]
    table["weight"] = found.weights[row, train]
    order = np.lexsort((-table["weight"], row))
    return table.iloc[order].reset_index(drop=True)


def _pictures(
    cell: StoredCell, targets: NDArray[np.int64], found: Datamodels, request: Request
) -> Figure | str:
    """Targets that are predicted best, and the training images whose weights are largest."""
    best = [i for i in np.argsort(-found.lds, kind="stable")[:ROWS] if (found.weights[i] > 0).any()]
    if not best:
        return "no target has a training example that makes networks surer of it"
    try:
        data = images_of(cell.cell, request.data_dir, request.dataset)
    except MemregError as error:
        return str(error)

    def picture(row: int, text: str) -> Picture:
        training = row < cell.n_train
        images = data.train_images if training else data.test_images
        return images[row if training else row - cell.n_train], f"{label_in_words(cell, row)}\n{text}"

    rows = []
    for i in best:
        nearest = [
            j for j in np.argsort(-found.weights[i], kind="stable")[:NEAREST] if found.weights[i, j] > 0
        ]
        head = picture(int(targets[i]), f"LDS {found.lds[i]:.2f}")
        rows.append((head, [picture(int(j), f"{found.weights[i, j]:+.2f}") for j in nearest]))
    return figures.subpopulations(rows)
