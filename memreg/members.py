"""What trained members leave behind: their predictions on every example, one by one or together.

A member that diverged has no class for any example; `Members.kept` leaves it out, and so do all statistics.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreg import margins
from memreg.estimators.counts import Tally, tally
from memreg.estimators.traces import Traces

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
    p_max: NDArray[np.float16]
    """Softmax probability of the predicted class, shape [N]."""
    seconds: float
    """Wall time of training and predicting."""
    margin: NDArray[np.float16] | None = None
    """Log odds of the given label, from logits, shape [N]; None where only `p_label` was ever stored."""
    p_label: NDArray[np.float16] | None = None
    """Softmax probability of the given label, shape [N], where there is no `margin`."""
    curve: dict[str, dict[int, float]] = field(default_factory=dict)
    """Of `train_loss` and `test_accuracy` the values by epoch. Only the first member of a cell has one."""
    step: str = ""
    """How its steps were taken, and on what, where known: a network rounds otherwise where that differs."""
    trace: Traces | None = None
    """What training showed of each training example, where that was asked for."""


COLUMNS = ("member", "seed", "included", "predicted", "p_max", "margin")
"""What is known of each member."""
SURE = ("margin", "p_label", "exact")
"""How sure a member is of each label: the columns are `margin`, or `p_label` where margins were never stored,
or all three of members some of which have the one and some the other."""


class Members:
    """k members of a cell as arrays, a row each. N = n_train + n_test, training examples first.

    They may have been read without some of their columns; asking for such a column raises `KeyError`.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.columns = dict(columns)

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> "Members":
        """Single members together, in order of their index."""
        return cls.joined(map(_alone, predictions))

    @classmethod
    def joined(cls, parts: Iterable["Members"]) -> "Members":
        """Members of one cell together, in order of their index; all parts have the same columns, or of SURE
        others."""
        several = list(parts)
        if len({frozenset(part.columns) for part in several}) > 1:
            several = [part._with_all_of_sure() for part in several]
        columns = {
            name: np.concatenate([part.columns[name] for part in several]) for name in several[0].columns
        }
        order = np.argsort(columns["member"], kind="stable")
        return cls({name: array[order] for name, array in columns.items()})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, rows: Any) -> "Members":
        """The members that a mask [k], indices or a slice choose."""
        return Members({name: array[rows] for name, array in self.columns.items()})

    def one_by_one(self) -> Iterator[Prediction]:
        """Single members; how long each took is not stored, and NaN."""
        for i, exact in enumerate(self.exact):
            member, seed = int(self.member[i]), int(self.seed[i])
            arrays = self.included[i], self.predicted[i], self.p_max[i]
            sure = {"margin": self.margin[i]} if exact else {"p_label": self.p_label[i]}
            yield Prediction(member, seed, *arrays, float("nan"), **sure)

    @property
    def member(self) -> NDArray[np.int32]:
        """Index of each member, shape [k]."""
        return self.columns["member"]

    @property
    def seed(self) -> NDArray[np.int64]:
        """Shape [k]."""
        return self.columns["seed"]

    @property
    def included(self) -> NDArray[np.bool_]:
        """Training examples that each member saw, shape [k, n_train]."""
        return self.columns["included"]

    @property
    def predicted(self) -> NDArray[np.unsignedinteger[Any]]:
        """Classes, shape [k, N]; see `Prediction`."""
        return self.columns["predicted"]

    @property
    def margin(self) -> NDArray[np.floating[Any]]:
        """Log odds of the given label, shape [k, N]; NaN where an import did not say. Of members that are not
        `exact` they are made of `p_label`, and none is beyond 8.3."""
        if "margin" in self.columns:
            return self.columns["margin"]
        return margins.clipped(self.columns["p_label"])

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Members whose margins are from logits, shape [k]."""
        if "exact" in self.columns:
            return self.columns["exact"]
        if not {"margin", "p_label"} & self.columns.keys():
            raise KeyError("margin")
        return np.full(len(self), "margin" in self.columns)

    @property
    def p_label(self) -> NDArray[np.float16]:
        """Softmax probability of the given label, shape [k, N]; NaN where an import did not say."""
        if "p_label" in self.columns:
            return self.columns["p_label"]
        return margins.probability(self.columns["margin"])

    @property
    def p_max(self) -> NDArray[np.float16]:
        """Softmax probability of the predicted class, shape [k, N]; NaN where an import did not say."""
        return self.columns["p_max"]

    def _with_all_of_sure(self) -> "Members":
        sure = {"margin": margins.stored(self.margin), "p_label": self.p_label, "exact": self.exact}
        return Members({**self.columns, **sure})

    @property
    def n_train(self) -> int:
        return int(self.included.shape[1])

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Members that have no class for anything, shape [k]."""
        missing: NDArray[np.bool_] = self.predicted[:, 0] == np.iinfo(self.predicted.dtype).max
        return missing

    def kept(self) -> "Members":
        """Without the members that diverged: no statistic counts them."""
        gone = self.diverged
        return self[~gone] if gone.any() else self

    def correct(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each prediction is the label, shape [k, N]; labels [N], training first."""
        narrow = labels.astype(self.predicted.dtype)
        same = narrow if np.array_equal(narrow, labels) else labels
        correct: NDArray[np.bool_] = np.equal(self.predicted, same)
        return correct


def _alone(prediction: Prediction) -> Members:
    arrays = {name: getattr(prediction, name) for name in ("included", "predicted", "p_max", *SURE[:2])}
    return Members(
        {
            "member": np.array([prediction.member], np.int32),
            "seed": np.array([prediction.seed], np.int64),
            **{name: array[None] for name, array in arrays.items() if array is not None},
        }
    )


def tallied(
    parts: Iterable[Members],
    labels: NDArray[np.int64],
    block: Callable[[int], int] = lambda member: 0,
    only: Collection[int] | None = None,
) -> Tally:
    """Sums over members, a part at a time, so that memory holds one part and the sums.

    labels: [N], training first. block: the block of a member, for a bootstrap; by default all are in one.
    only: the members that count; by default all. Members that diverged do not count.
    """
    counted = None if only is None else np.fromiter(only, np.int64)

    def one(part: Members) -> Tally:
        members = part if counted is None else part[np.isin(part.member, counted)]
        members = members.kept()
        blocks = np.array([block(int(m)) for m in members.member], np.int64)
        return tally(members.included, members.correct(labels), blocks)

    return reduce(add, map(one, parts))
