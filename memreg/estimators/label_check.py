"""Which labels are probably wrong: what the members that did not see an example say it is instead.

Northcutt, Jiang & Chuang (2021), "Confident learning", on votes rather than probabilities.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.counts import Floats, Mask

Z = 1.959963984540054  # of a two-sided 95 % interval


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

    The interval is Wald's for the difference of two shares of one multinomial, with half a vote added to each
    of four cells (Agresti & Min 2005, "Simple improved confidence intervals for comparing matched
    proportions"), as if members were independent: simulated, it is below the truth 94 to 100 % of the time.
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
    n = total + 2
    difference = (against - for_label) / n
    error = np.sqrt(((against + for_label + 1) / n - difference**2) / n)
    low = np.where(total > 0, difference - Z * error, np.nan)
    return Checked(np.where(known, proposed, -1), *shares, low, total)
