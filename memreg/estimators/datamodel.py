"""Datamodels: how sure networks are of an example, as a linear function of what they were trained on.

Ilyas et al. 2022, "Datamodels: predicting predictions from training data".

The margin of a target is fitted by a constant and a weight for each training example that is included, most
of them 0 (LASSO, scikit-learn's). A weight is an influence with less noise than counting leaves: all weights
are fitted together, and what chance gives is shrunk away.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from memreg.estimators.bootstrap import quantile
from memreg.estimators.counts import Floats, Mask
from memreg.resources import cores

HELD_OUT = 5
"""Of so many blocks of members one is held out, and the rest is fitted."""
FOLDS = 5
"""Of the blocks that are fitted, for the choice of the penalty."""
PENALTIES = 30
"""Tried for each target."""
FEWEST = 2 * HELD_OUT
"""Blocks of members."""


@dataclass(frozen=True, eq=False)
class Datamodels:
    """Of t targets."""

    weights: Floats
    """By how much a target's margin rises with each training example, [t, n_train]."""
    lds: Floats
    """Linear datamodeling score: Spearman's rho over held-out members of predicted and true margins, [t]."""
    lds_counted: Floats
    """That of counting: a member's prediction is the sum of its examples' influences, [t]."""
    lds_half: Floats
    """That of half the members, the mean of two halves, [t]."""
    halves: Floats
    """Rho over held-out members of what the two halves predict, [t]."""

    @property
    def ceiling(self) -> float:
        """LDS that a linear model of any number of members would have on average: that of half the members,
        without what the two halves disagree in (Spearman 1904).

        What is left to 1 is the noise of single networks, and what is not linear. NaN where the halves do not
        agree at all.
        """
        agreement = float(np.mean(self.halves))
        return float(min(np.mean(self.lds_half) / np.sqrt(agreement), 1)) if agreement > 0 else float("nan")


def datamodels(
    included: Mask,
    margin: Floats,
    counted: Floats,
    block: NDArray[np.int64],
    progress: Callable[[], object] = lambda: None,
) -> Datamodels:
    """Fit each target on four of five blocks of members, and score it on the rest.

    included: [k, n_train]; margin: of the targets, [k, t]; counted: for each target a weight per training
    example, from the members of `fitted` alone, [t, n_train]; block: of each member, [k], at least FEWEST.
    """
    used = fitted(block)
    x, y, number = included[used].astype(np.float64), margin[used], block[used]
    held = included[~used].astype(np.float64)
    half = _order(number) % 2 == 1

    def of(target: int) -> tuple[Floats, list[Floats]]:
        weights, penalty = _chosen(x, y[:, target], number)
        parts = [held @ _with(penalty, x[rows], y[rows, target]) for rows in (half, ~half)]
        progress()
        return weights, parts

    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(of, range(y.shape[1])))
    weights = np.stack([one for one, _ in found])
    truth = margin[~used].T
    one, other = (np.stack([parts[i] for _, parts in found]) for i in (0, 1))
    score = partial(_rho, truth)
    return Datamodels(
        weights,
        score(weights @ held.T),
        score(counted @ held.T),
        (score(one) + score(other)) / 2,
        _rho(one, other),
    )


def fitted(block: NDArray[np.int64]) -> Mask:
    """Members that weights are fitted on, [k]: those of all blocks but every fifth."""
    used: Mask = _order(block) % HELD_OUT != HELD_OUT - 1
    return used


def counting(included: Mask, correct: Mask) -> Floats:
    """Influence by counting: Pr[right | included] - Pr[right | excluded] of each target, [t, n_train].

    included: [k, n_train]; correct: of the targets, [k, t]. 0 where all members include an example, or none.
    """
    inside, right = included.astype(np.float64), correct.astype(np.float64)
    count, both = inside.sum(0), right.T @ inside
    with np.errstate(invalid="ignore", divide="ignore"):
        influence = both / count - (right.sum(0)[:, None] - both) / (len(inside) - count)
    known: Floats = np.nan_to_num(influence)
    return known


def mean_interval(values: Floats) -> tuple[float, float, float]:
    """Mean over targets with Student's 95 % interval; values: [t]."""
    n = len(values)
    half = quantile(n - 1) * float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)


def _chosen(x: Floats, y: Floats, block: NDArray[np.int64]) -> tuple[Floats, float]:
    """Weights at the penalty that predicts left-out blocks best, and that penalty."""
    from sklearn.linear_model import LassoCV  # 1 s to import

    folds = _order(block) % FOLDS
    splits = [(np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(FOLDS)]
    model = LassoCV(alphas=PENALTIES, cv=splits, eps=1e-2, tol=1e-3, max_iter=3000, precompute=False)
    model.fit(x, y)
    return np.asarray(model.coef_, np.float64), float(model.alpha_)


def _with(penalty: float, x: Floats, y: Floats) -> Floats:
    from sklearn.linear_model import Lasso

    return np.asarray(Lasso(alpha=penalty, tol=1e-3, max_iter=3000).fit(x, y).coef_, np.float64)


def _order(block: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each member's block among the blocks, from 0."""
    return np.unique(block, return_inverse=True)[1]


def _rho(a: Floats, b: Floats) -> Floats:
    """Spearman's rho in each row, [t]; 0 where a side does not vary: it predicts nothing."""
    from scipy.stats import rankdata

    x, y = (rankdata(v, axis=1) for v in (a, b))
    x, y = (v - v.mean(1, keepdims=True) for v in (x, y))
    norm = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    rho: Floats = np.divide((x * y).sum(1), norm, out=np.zeros(len(x)), where=norm > 0)
    return rho
