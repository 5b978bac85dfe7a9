"""The paper's Figure 1: the images with the largest error, each with its nearest training images."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from memreg.cell import Cell
from memreg.data import Dataset, load_stored
from memreg.errors import MemregError
from memreg.estimators.coinfluence import co_influence
from memreg.questions.approximation_error import ApproximationError
from memreg.registry import Registry
from memreg.scoring.members import read_members
from memreg.show import figures
from memreg.show.figures.pictures import Picture

ROWS, NEAREST = 6, 6


def subpopulations(
    registry: Registry, result: ApproximationError, data_dir: Path | None, named: str | None = None
) -> Figure:
    """Targets whose score is overestimated most, and the training images that teach a network most about
    each while it is left out itself. Raises `MemregError` where the data set's images are not there.

    named: the cell's data set, where it is code of the user's.
    """
    dataset = same_data(result.cell, data_dir, named)
    first = result.targets().query("estimate == @result.estimates[0].name")
    worst = first.nlargest(ROWS, "error")
    members = read_members(registry, result.cell.hash)
    own, everyone = worst["example"].to_numpy(), np.arange(dataset.n_train)
    found = co_influence(members.included, members.correct_train, own, everyone)

    def picture(example: int, text: str) -> Picture:
        return dataset.train_images[example], f"{dataset.train_labels[example]}: {text}"

    rows = []
    for k, (example, score, truth) in enumerate(zip(own, worst["score"], worst["truth"], strict=True)):
        nearest = np.argsort(-found.evidence[k], kind="stable")[:NEAREST]
        head = picture(example, f"{score:.2f}, true {truth:.2f}")
        rows.append((head, [picture(j, f"{found.effect[k, j]:+.2f}") for j in nearest]))
    return figures.subpopulations(rows)


def same_data(cell: Cell, data_dir: Path | None, named: str | None = None) -> Dataset:
    """The data set that a cell was trained on, for its images."""
    dataset = load_stored(cell.dataset, data_dir, named)
    if dataset.fingerprint != cell.dataset_fingerprint:
        raise MemregError(f"data set {cell.dataset} is no longer what cell {cell.hash[:12]} was trained on")
    return dataset
