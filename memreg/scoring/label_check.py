"""Which of a stored cell's labels are probably wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.label_check import Checked, check, votes
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED, KNOWN


def label_check(cell: StoredCell) -> pd.DataFrame:
    """A row per training example that some member excludes; first those whose label is most surely wrong.

    `example`, `label`, what examples.parquet knows of the example, then of the members that exclude it:
    `proposed`, the class other than the label that most of them predict, -1 where none predicts another
    (`proposed_label`, what the data calls that class, where known), `agreement` and `label_agreement`, the
    shares of them that predict `proposed` and the label, `low`, the lower end of the 95 % interval of the
    difference of the two, `margin`, the mean log odds that they give the label (NaN where an import did not
    say), and `excluded_count`; then `score`. A label is probably wrong where `low` is above 0: these rows
    come first, each part in order of `margin`, which tells more than the votes of a few members do (of 3,000
    images of CIFAR-10 with 12 votes each and 300 wrong labels, 89 of the first 100 had one, and 62 in order
    of `low`); where it is not known, they are in order of `low`.

    Raises `MemregError` where no member excludes any example, and where an import does not say labels, or
    which wrong classes members predict.
    """
    if not cell.labels_known:
        raise MemregError(f"{cell} was imported without labels: there are none to check")
    found, margin = _checked(cell, tested=False)
    if not found.excluded_count.any():
        raise MemregError(f"{cell} has no member that leaves an example out: nobody can check its labels")
    if (found.proposed < 0).all() and (found.label_agreement < 1).any():
        raise MemregError(
            f"{cell} was imported without classes: its members do not say what labels should be"
        )
    table = _table(cell.examples.iloc[: cell.n_train], cell.class_names, found, margin)
    table["score"] = _scores(cell)
    return _surest_first(table[found.excluded_count > 0])


def held_out_labels(cell: StoredCell) -> pd.DataFrame:
    """As `label_check`, of all test examples, which every member excludes, and without `score`."""
    found, margin = _checked(cell, tested=True)
    return _surest_first(_table(cell.examples.iloc[cell.n_train :], cell.class_names, found, margin))


def _checked(cell: StoredCell, tested: bool) -> tuple[Checked, Floats]:
    """What excluding members say of training or of test examples, and the mean log odds that they give the
    label."""
    n, classes = cell.n_train, int(cell.labels.max()) + 1
    part = slice(n, None) if tested else slice(0, n)
    labels = cell.labels[part]
    counted, odds = np.zeros((len(labels), classes + 1), np.int64), np.zeros(len(labels))
    for shard in cell.shards(*COUNTED, "margin"):
        members = shard.kept()
        included = np.zeros((len(members), len(labels)), bool) if tested else members.included
        counted += votes(included, members.predicted[:, part], classes)
        odds += np.where(included, 0, members.margin[:, part]).sum(0, dtype=float)
    found = check(counted, labels)
    with np.errstate(invalid="ignore"):
        return found, odds / found.excluded_count


def _table(examples: pd.DataFrame, names: Mapping[int, str], found: Checked, margin: Floats) -> pd.DataFrame:
    """A row per example, in their order. examples: rows of examples.parquet. names: of classes, if known."""
    known = examples[["example", "label", *(name for name in KNOWN if name in examples)]]
    said: dict[str, Any] = {"proposed": found.proposed}
    if names:
        said["proposed_label"] = [names.get(kind, "") for kind in found.proposed.tolist()]
    said |= {
        "agreement": found.agreement,
        "label_agreement": found.label_agreement,
        "low": found.low,
        "margin": margin,
        "excluded_count": found.excluded_count,
    }
    return known.assign(**said)


def _surest_first(table: pd.DataFrame) -> pd.DataFrame:
    order = np.lexsort((-table["low"], table["margin"], ~(table["low"] > 0)))
    return table.iloc[order].reset_index(drop=True)


def _scores(cell: StoredCell) -> Floats:
    try:
        return cell.scores()["score"].to_numpy(float)
    except MemregError:  # leave-one-out's cells have none of Feldman & Zhang's
        return np.full(cell.n_train, np.nan)
