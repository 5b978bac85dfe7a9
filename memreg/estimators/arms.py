"""Which examples each arm of a marginal utility experiment leaves out (sections 3.3 and 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Mask

Pools = tuple[tuple[int, tuple[int, ...]], ...]
"""How many to leave out of which examples, as the design `removal` has them."""
ARMS = {
    "scored": "those that score it (Feldman & Zhang's arm)",
    "random": "as many random ones of the same classes",
    "verified": "those that also score it by the estimator that comes closer",
    "thinned": "as many, but of every sub-population one stays",
    "below": "as many of the same classes that score less",
}
"""What is left out, by arm."""


@dataclass(frozen=True)
class Arm:
    """Members without some examples."""

    threshold: float
    name: str
    pools: Pools
    cell: str
    """Hash."""

    @property
    def removed(self) -> int:
        return sum(count for count, _ in self.pools)


def arms(
    scored: Mask, verified: Mask, labels: NDArray[np.int64], groups: Sequence[Sequence[int]], what: str
) -> dict[str, Pools]:
    """Pools to leave out, by arm. `verified` is not there if no example is; a control is not if there are too
    few examples of some class to choose it from.

    scored, verified, labels: [n_train]. groups: sub-populations of two and more examples, disjoint; every
    other example is one by itself. what: the threshold, for messages.

    Raises `MemregError` where nothing or a whole class would be left out.
    """
    for label in np.unique(labels):
        own = labels == label
        if (scored & own).sum() == own.sum():
            raise MemregError(
                f"{what}: all {own.sum()} examples of class {label} score it: choose a higher one"
            )
    if not scored.any():
        raise MemregError(f"{what}: no example scores it: choose a lower one")
    found = {
        "scored": _whole(scored),
        "random": _like(scored, labels, np.ones_like(scored)),
        "verified": _whole(verified),
        "thinned": thinned(scored, labels, groups),
        "below": _like(scored, labels, ~scored),
    }
    return {name: pools for name, pools in found.items() if pools}


def thinned(scored: Mask, labels: NDArray[np.int64], groups: Sequence[Sequence[int]]) -> Pools:
    """Choose as many as are scored, of the same classes, so that every sub-population keeps an example.

    Of a group that is scored whole, a random example stays; a scored example that is a sub-population by
    itself stays; random examples that are not scored go in their place. Empty if there are too few of them.
    """
    stays, fixed, thin = scored.copy(), np.zeros_like(scored), list[tuple[int, tuple[int, ...]]]()
    for group in groups:
        rows = np.array(group)
        if scored[rows].all():
            thin.append((len(rows) - 1, tuple(rows.tolist())))
        else:
            fixed[rows[scored[rows]]] = True
            stays[rows[~scored[rows]][0]] = True
    gone = np.bincount(labels[fixed], minlength=labels.max() + 1)
    for count, rows_ in thin:
        gone[labels[rows_[0]]] += count
    more = np.bincount(labels[scored], minlength=len(gone)) - gone
    others = _per_class(more, labels, ~stays)
    return (*_whole(fixed), *thin, *others) if others or not more.any() else ()


def removed_per_class(arms: Sequence[Arm], labels: NDArray[np.int64]) -> pd.DataFrame:
    """`threshold`, `arm`, `label`, `removed`: examples of each class that an arm leaves out, on average."""
    rows = []
    for arm in arms:
        expected = np.zeros(labels.max() + 1)
        for count, examples in arm.pools:
            own = np.bincount(labels[list(examples)], minlength=len(expected))
            expected += count * own / own.sum()
        rows += [
            {"threshold": arm.threshold, "arm": arm.name, "label": label, "removed": value}
            for label, value in enumerate(expected)
        ]
    return pd.DataFrame(rows)


def _whole(mask: Mask) -> Pools:
    rows = tuple(np.flatnonzero(mask).tolist())
    return ((len(rows), rows),) if rows else ()


def _like(scored: Mask, labels: NDArray[np.int64], among: Mask) -> Pools:
    return _per_class(np.bincount(labels[scored], minlength=labels.max() + 1), labels, among)


def _per_class(counts: NDArray[np.int64], labels: NDArray[np.int64], among: Mask) -> Pools:
    pools = []
    for label in np.flatnonzero(counts):
        rows = np.flatnonzero(among & (labels == label))
        if len(rows) < counts[label]:
            return ()
        pools.append((int(counts[label]), tuple(rows.tolist())))
    return tuple(pools)
