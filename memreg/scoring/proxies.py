"""Stand-ins for memorization scores by name: from the traces of some networks, or from stored members."""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.estimators.influence_function import influence_function
from memreg.estimators.proxies import NEEDS, PROXIES
from memreg.estimators.traces import Traces
from memreg.members import Members
from memreg.parameters import did_you_mean
from memreg.registry import StoredCell
from memreg.registry.stored_cell import COUNTED
from memreg.scoring.by_name import scores_by
from memreg.scoring.designed import DESIGNED
from memreg.scoring.several_r import EXTRAPOLATION
from memreg.user_code import called, function, is_code

ESTIMATES = ("subsets", "gaussian", "shrunk", "peers")
"""Scores by members that leave out some of the examples: Feldman & Zhang's, and others."""


def excluded_accuracy(cell: StoredCell) -> Floats:
    """How often networks that were not trained on an example are wrong about it, [n_train].

    1 less the C-score at one size of the training set (Jiang et al. 2021, "Characterizing structural
    regularities of labeled data in overparameterized models").
    """
    wrong: Floats = 1 - cell.tally().total.excluded_accuracy
    return wrong


def label_quality(cell: StoredCell) -> Floats:
    """1 less cleanlab's quality of each label, [n_train], by the probabilities of networks that were not
    trained on the example (Northcutt et al. 2021, "Confident learning"); NaN where there is none.

    Of each network the probabilities of the label and of the predicted class are stored; what is left to 1
    is taken to be spread evenly over the other classes. Raises `MemregError` where an import did not say
    labels, or how sure members were of them.
    """
    from cleanlab.rank import get_label_quality_scores

    if not cell.labels_known:
        raise MemregError(f"{cell} was imported without labels, of which label_quality judges")
    labels, classes = cell.train_labels, int(cell.labels.max()) + 1
    total, count = np.zeros((cell.n_train, classes)), np.zeros(cell.n_train)
    for shard in cell.shards(*COUNTED, "p_max", "margin"):
        members = shard.kept()
        if np.isnan(members.margin).any():
            raise MemregError(f"{cell} was imported without margins or p_label: label_quality takes them")
        for i in range(len(members)):
            out = ~members.included[i]
            total[out] += _probabilities(members, i, labels, classes)[out]
            count += out
    known = count > 0
    quality = np.full(cell.n_train, np.nan)
    mean = total[known] / count[known, None]
    quality[known] = get_label_quality_scores(labels[known], mean / mean.sum(1, keepdims=True))
    return 1 - quality


COUNTED_BY: dict[str, Callable[[StoredCell], Floats]] = {
    "excluded_accuracy": excluded_accuracy,
    "label_quality": label_quality,
}
BY_TRACES: dict[str, Callable[[Traces], Floats]] = {**PROXIES, "influence_function": influence_function}
KNOWN = (*BY_TRACES, *COUNTED_BY, *ESTIMATES, EXTRAPOLATION, *DESIGNED)
LIBRARY = {"label_quality": "cleanlab", "influence_function": "captum"}
"""What computes a proxy, an extra of memreg's, where memreg does not."""
ONLY_BY_NAME = ("influence_function",)
"""Not among all: it takes minutes, and cannot be had of networks whose last layer is large."""


def chosen(text: str) -> list[str]:
    """Names of proxies, from a list with commas between; "all" are all whose library is there.

    Raises `MemregError` for a name that is none, and for code that cannot be imported.
    """
    if text == "all":
        installed = [name for name in KNOWN if name not in LIBRARY or find_spec(LIBRARY[name])]
        return [name for name in installed if name not in ONLY_BY_NAME]
    names = [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]
    for name in names:
        if name not in KNOWN and not is_code(name):
            hint = did_you_mean(name, KNOWN, f"one of {', '.join(KNOWN)}, or package.module:function")
            raise MemregError(f"unknown proxy '{name}': {hint}")
        if name in LIBRARY and not find_spec(LIBRARY[name]):
            library = LIBRARY[name]
            raise MemregError(f"{name} is {library}'s: pip install 'memreg[{library}]'")
        if is_code(name):
            function("proxy", name)
    if not names:
        raise MemregError("proxies: name one or more, with commas between")
    return names


def of_traces(name: str) -> bool:
    """Whether a proxy is made of traces; else it is made of members that leave examples out."""
    return name in BY_TRACES or is_code(name)


def of_one_cell(name: str) -> bool:
    """Whether a proxy is made of members that leave out examples, all of one r."""
    return name in COUNTED_BY or name in ESTIMATES


def needed(names: list[str]) -> list[str]:
    """Observers whose quantities these proxies are made of."""
    return sorted({NEEDS[name] for name in names if name in NEEDS})


def from_traces(name: str, traces: Traces) -> Floats:
    """What a proxy says of each training example, [n_train], larger where more is memorized."""
    if not is_code(name):
        return BY_TRACES[name](traces)
    for values in traces.quantities.values():
        values.flags.writeable = False  # they are other proxies' too
    given = called("proxy", name, traces)
    n = traces.included.shape[1]
    array = np.asarray(given)
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        raise MemregError(
            f"proxy {name}: returned {_kind(given)}: it must return {n} numbers, one per example"
        )
    if np.isinf(array).any():
        raise MemregError(f"proxy {name}: returned an infinite number: it must return finite ones, or NaN")
    return array.astype(np.float64)


def from_members(name: str, cell: StoredCell) -> Floats:
    """What a proxy says of each training example, [n_train], larger where more is memorized."""
    if name in COUNTED_BY:
        return COUNTED_BY[name](cell)
    table = cell.scores() if name == "subsets" else scores_by(name, cell)
    return table["score"].to_numpy(np.float64)


def _kind(given: object) -> str:
    return f"{given.dtype} {list(given.shape)}" if isinstance(given, np.ndarray) else type(given).__name__


def _probabilities(members: Members, i: int, labels: NDArray[np.int64], classes: int) -> Floats:
    """Of one member, [n_train, classes]."""
    n = len(labels)
    rows = np.arange(n)
    own = members.p_label[i, :n].astype(np.float64)
    top, predicted = members.p_max[i, :n].astype(np.float64), members.predicted[i, :n].astype(np.int64)
    wrong = (predicted != labels) & (predicted < classes) & ~np.isnan(top)
    rest = np.clip(1 - own - np.where(wrong, top, 0), 0, None) / np.maximum(classes - 1 - wrong, 1)
    given = np.repeat(rest[:, None], classes, axis=1)
    given[rows, labels] = own
    given[rows[wrong], predicted[wrong]] = top[wrong]
    return given
