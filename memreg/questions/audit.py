"""`memreg audit`: from a folder of images to the labels that are probably wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.data import Dataset, load
from memreg.data.folder import glance
from memreg.errors import MemregError
from memreg.estimators.label_check import FEWEST as FEWEST_VOTES
from memreg.grid import Grid, plan_cell
from memreg.registry import StoredCell
from memreg.requests.audit import Request
from memreg.scoring.label_check import held_out_labels, label_check
from memreg.show.notes import answered
from memreg.studies.progress import Progress
from memreg.studies.resolved import resolve
from memreg.studies.study import Outcome, Where, open_study
from memreg.suited import suited, suited_side

FEWEST = 10
"""Images of a class from which networks learn anything of it."""
SHOWN, SHOWN_TEST = 10, 3


@dataclass(frozen=True)
class Audited:
    """What an audit found."""

    cell: StoredCell
    found: pd.DataFrame
    """As `scoring.label_check`: all training images."""
    tested: pd.DataFrame
    """As `scoring.label_check.held_out_labels`: all test images."""
    alone: bool
    """Whether the study holds no other cell."""

    @property
    def cells(self) -> Sequence[str]:
        return [self.cell.hash]

    def command(self, study: str) -> str:
        """What shows all of it."""
        return f"memreg explore {study if self.alone else self.cell.hash[:12]} --labels"

    def in_words(self) -> str:
        likely, metrics = int((self.found["low"] > 0).sum()), self.cell.metrics
        short = (
            f"Networks mostly say another class than the label for {likely:,} of {len(self.found):,} images."
        )
        numbers = (
            (f"{likely:,}", f"images, of {len(self.found):,}, are of another class to networks"),
            (f"{metrics['excluded_accuracy']:.0%}", "of images that they have not seen networks get right"),
            (f"{metrics['included_accuracy']:.0%}", "of the images that they have seen they get right"),
        )
        return answered(short, numbers, f"```\n{self.in_short()}\n```")

    def in_short(self) -> str:
        likely, tested = self.found[self.found["low"] > 0], self.tested[self.tested["low"] > 0]
        metrics = self.cell.metrics
        lines = [
            f"Networks are right about {metrics['excluded_accuracy']:.0%} of the images that they have not "
            f"seen, and {metrics['included_accuracy']:.0%} of those they have.",
            f"Of {len(self.found):,} images they mostly say another class than the label for "
            f"{len(likely):,}: wrong labels, or hard images{'. Most surely:' if len(likely) else '.'}",
            *_listed(likely.head(SHOWN)),
        ]
        if (votes := int(self.found["excluded_count"].max())) < FEWEST_VOTES:
            lines.insert(
                1, f"No more than {votes} of them judge an image, and it takes {FEWEST_VOTES}: train more."
            )
        if len(tested):
            first = tested.head(SHOWN_TEST).to_dict("records")
            files = [f"{row['file']} ({row['proposed_label']})" for row in first]
            more = ["..."] if len(tested) > SHOWN_TEST else []
            lines.append(
                f"The same holds for {len(tested):,} of the {len(self.tested):,} test images, which no "
                f"network saw: {', '.join(files + more)}"
            )
        return "\n".join(lines)

    def metrics(self) -> Mapping[str, float]:
        counts = {"train": self.found, "test": self.tested}
        return {f"likely_wrong/{part}": float((table["low"] > 0).sum()) for part, table in counts.items()}

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {"label_check.parquet": self.found, "label_check_test.parquet": self.tested}

    def figures(self) -> Mapping[str, Figure]:
        return {}


def _listed(rows: pd.DataFrame) -> list[str]:
    """File, label, and what how many networks say instead, in columns."""
    if rows.empty:
        return []
    lines = [("file", "label", "networks say", "")]
    for row in rows.to_dict("records"):
        said = f"{row['agreement'] * row['excluded_count']:.0f} of {row['excluded_count']}"
        lines.append((row["file"], row["source_label"], row["proposed_label"], said))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  " + "  ".join(f"{text:{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def run(folder: Path, request: Request, where: Where, progress: Progress) -> Outcome[Audited]:
    """Train what is missing by a recipe that suits the folder, and check its labels.

    Raises `MemregError` before anything is written to the registry for a folder that cannot be audited.
    """
    images, typical = glance(folder)
    side = request.size or suited_side(typical)
    progress.say(f"{images:,} images, typically {typical} pixels high or wide: they become {side}x{side}")
    name = f"folder:{folder}+size={side}"
    dataset = load(name, verify=True)
    _check(dataset)
    fields = {**suited(dataset.n_train), "augmentation": request.augmentation}
    planned = plan_cell({"dataset": name, "members": request.members, **fields}, "audit")
    items = resolve([planned], opened=lambda *_: dataset)
    said = ", ".join(f"{key} {value}" for key, value in fields.items())
    progress.say(f"{dataset.classes} classes; {said}")
    study = request.name(folder)
    with open_study(Grid("audit", "", ()), items, study, where, progress) as opened:
        opened.train()
        table, cell = opened.table(), opened.registry.cell(items[0].cell.hash)
        answer = Audited(cell, label_check(cell), held_out_labels(cell), len(table) == 1)
        return opened.conclude(table, answer)


def _check(dataset: Dataset) -> None:
    """Raise `MemregError` where a class has too few images."""
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    counts = np.bincount(labels, minlength=dataset.classes)
    if counts.min() < FEWEST:
        kind = (dataset.class_labels or range(dataset.classes))[int(counts.argmin())]
        raise MemregError(
            f"{dataset.name}: class {kind} has {counts.min()} images: {FEWEST} are needed to learn it from; "
            "add some, or take its folder out"
        )
