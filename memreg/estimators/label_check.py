"""Which labels are probably wrong: what the members that did not see an example say it is instead.

Northcutt, Jiang & Chuang (2021), "Confident learning", on votes rather than probabilities.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from memreg.estimators.counts import Floats, Mask

SIDE = 0.025  # of a two-sided 95 % interval
FEWEST = 6
"""Votes from which a label can be called wrong: as many for another class, and none for the label."""


def votes(included: Mask, predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """How many of the members that exclude each example predict each class: shape [n_train, classes + 1].

    included: [k, n_train]. predicted: [k, n_train]; what is no class counts in the last column.
    """
    counted = np.zeros((included.shape[1], classes + 1), np.int64)
    rows = np.arange(included.shape[1])
    for saw, said in zip(included, predicted, strict=True):
        counted[rows[~saw], np.minimum(said[~saw], classes)] += 1
    return counted


@dataclass(frozen=True, eq=False)
class Checked:
    """Of each training example, shape [n_train]; NaN, and -1 for a class, where no member excludes it."""

    proposed: NDArray[np.int64]
    """The class other than the label that most excluded members predict; of several the first."""
    agreement: Floats
    """Share of the excluded members that predict it."""
    label_agreement: Floats
    """Share of the excluded members that predict the label."""
    low: Floats
    """Lower end of the 95 % interval of `agreement` less `label_agreement`."""
    excluded_count: NDArray[np.int64]

    @property
    def likely(self) -> Mask:
        """Examples whose label is probably wrong: `low` is above 0."""
        return self.low > 0


def check(counted: NDArray[np.int64], labels: NDArray[np.int64]) -> Checked:
    """counted: as `votes` gives it. labels: [n_train].

    With s the share of the votes that are for one of the two classes, and p that of these for the proposed
    one, the difference is s (2 p - 1). `low` takes the lower ends of both (Clopper & Pearson 1934), where
    p's is below 1/2 of p alone. As if members were independent, it is below the truth at least 97.5 % of the
    time, whatever the shares and however few the votes.
    """
    rows, total = np.arange(len(labels)), counted.sum(1)
    for_label = counted[rows, labels]
    others = counted[:, :-1].copy()
    others[rows, labels] = -1
    proposed = others.argmax(1)
    against = others[rows, proposed]
    known = (total > 0) & (against > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = against / total, for_label / total
    both = against + for_label
    difference = 2 * _lower_end(against, both) - 1
    low = np.where(difference > 0, difference * _lower_end(both, total), difference)
    return Checked(np.where(known, proposed, -1), *shares, np.where(total > 0, low, np.nan), total)


def _lower_end(successes: NDArray[np.int64], of: NDArray[np.int64]) -> Floats:
    """Of the interval of a share; 0 without successes."""
    some = successes > 0
    found: Floats = np.zeros(len(successes))
    found[some] = beta.ppf(SIDE, successes[some], of[some] - successes[some] + 1)
    return found
