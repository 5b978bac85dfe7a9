"""What a trained member leaves behind: its prediction on every example."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 65_535
"""That `predicted` can name, beside the value for none."""


def no_class(classes: int) -> int:
    """The value of `predicted` that stands for no class at all: the member diverged (its outputs are NaN)."""
    return 255 if classes <= 255 else 65535


def wrong_class(classes: int) -> int:
    """The value of `predicted` that stands for a wrong class that is not known: imported members have it."""
    return no_class(classes) - 1


@dataclass(frozen=True, eq=False)
class Prediction:
    """One member. N = n_train + n_test, training examples first."""

    member: int
    seed: int
    included: NDArray[np.bool_]
    """Shape [n_train]."""
    predicted: NDArray[np.unsignedinteger[Any]]
    """Class, shape [N]; `no_class` throughout if the member diverged."""
    p_label: NDArray[np.float16]
    """Softmax probability of the given label, shape [N]."""
    p_max: NDArray[np.float16]
    """Softmax probability of the predicted class, shape [N]."""
    seconds: float
    """Wall time of training and predicting."""
    curve: dict[str, dict[int, float]] = field(default_factory=dict)
    """Of `train_loss` and `test_accuracy` the values by epoch. Only the first member of a cell has one."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Members stacked, in order of member index: [k], [k, n_train] and [k, N]."""

    member: NDArray[np.int32]
    seed: NDArray[np.int64]
    included: NDArray[np.bool_]
    predicted: NDArray[np.unsignedinteger[Any]]
    p_label: NDArray[np.float16]
    p_max: NDArray[np.float16]

    @property
    def n_train(self) -> int:
        return int(self.included.shape[1])

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Shape [k]."""
        return diverged(self.predicted)

    def correct(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each prediction is the label, shape [k, N]; labels [N], training first."""
        correct: NDArray[np.bool_] = np.equal(self.predicted, labels)
        return correct


def diverged(predicted: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Which members have no class for anything; predicted: [members, N], result [members]."""
    missing: NDArray[np.bool_] = predicted[:, 0] == np.iinfo(predicted.dtype).max
    return missing
