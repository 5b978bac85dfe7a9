"""Recipes whose test accuracies fill the targets."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial
from scipy.special import logit
from scipy.stats import norm

from memreg.search.accuracy import Estimate, Scatter
from memreg.search.propose import FEW, Tries, propose
from memreg.search.space import Point, Space
from memreg.search.targets import Targets
from memreg.search.trials import Accuracies, Told, Verdict, report_new, running, told

HOPE = 0.25  # of filling a target, below which a trial that has its few members ends
Kind = Literal["gp", "tpe", "random"]


@dataclass(frozen=True)
class Progress:
    filled: Mapping[float, Told]
    """Target -> the trial whose cell fills it."""
    open: Sequence[float]


def sampler(kind: Kind = "gp", seed: int = 0) -> optuna.samplers.BaseSampler:
    """Optuna's own proposals: where the Gaussian process makes none, and to compare it with."""
    if kind == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False)


def progress(finished: Sequence[Told], targets: Targets) -> Progress:
    """A target is filled by a trial whose cell has all its members and is within the tolerance of it."""
    whole = [(t, t.estimate.accuracy) for t in finished if t.whole and t.estimate is not None]
    taken = targets.filled([accuracy for _, accuracy in whole])
    return Progress(
        {target: whole[taken[target]][0] for target in targets.values if target in taken},
        [target for target in targets.values if target not in taken],
    )


@dataclass(frozen=True)
class Fill:
    """The goal of `memreg.search.trials.search` on a study whose direction is `minimize`: a trial's value is
    the distance to the nearest open target.

    A trial is stopped early as soon as the 95 % interval of its cell's accuracy is clear of every open
    target, and when it has few members and little hope of filling one.
    """

    study: optuna.Study
    space: Space
    sizes: Mapping[str, int]
    """Parameters of each model."""
    targets: Targets
    kind: Kind = "gp"
    seed: int = 0

    def reached(self) -> bool:
        return not progress(told(self.study), self.targets).open

    def propose(self) -> Point | None:
        if self.kind != "gp":
            return None
        pending = running(self.study)  # read first: a trial that ends meanwhile is in both, not in neither
        finished = told(self.study)
        floor = _floor(finished)
        seen = [(t.point, t.estimate or floor) for t in finished]
        among = progress(finished, self.targets).open
        return propose(self.space, self.sizes, Tries(seen, pending), self.targets, among, self.seed)

    def judge(self, trial: Trial, accuracies: Accuracies) -> Verdict:
        e = Estimate.of(list(accuracies.values()))
        finished = told(self.study)
        scatter = Scatter.of([t.estimate for t in finished if t.estimate is not None])
        among = progress(finished, self.targets).open
        value, clear = self.targets.distance(e.accuracy, among), self._clear(e, scatter, among)
        report_new(self.study, trial, {e.members: value})
        hopeless = e.members >= FEW and self._hope(e, scatter, among) < HOPE
        return Verdict(value, stop=clear or hopeless, pruned=clear)

    def _hope(self, e: Estimate, scatter: Scatter, among: Sequence[float]) -> float:
        """Probability that the accuracy is within the band of one of the targets `among`."""
        bands = (logit(self.targets.bands(among)) - e.logit) / scatter.error(e)
        return float(np.diff(norm.cdf(bands)).sum())

    def _clear(self, e: Estimate, scatter: Scatter, among: Sequence[float]) -> bool:
        """Whether the interval is clear of every one of the targets `among`."""
        if e.members < 2:
            return False
        low, high = scatter.interval(e)
        return all(high < a or low > b for a, b in self.targets.bands(among).tolist())


def _floor(finished: Sequence[Told]) -> Estimate:
    """Stands for a trial that failed: as bad as the worst, so that the like of it is not tried next."""
    known = [t.estimate for t in finished if t.estimate is not None]
    return Estimate(min((e.accuracy for e in known), default=0.1), 1, 0.0)
