"""The search for recipes whose test accuracies fill the targets, one trial after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import optuna
from scipy.special import logit
from scipy.stats import norm

from memreg.search.accuracy import Estimate, Scatter
from memreg.search.propose import propose
from memreg.search.space import Space
from memreg.search.targets import Targets
from memreg.search.trials import Accuracies, Told, Train, Verdict, ask, run_trial, running, told

HOPE = 0.25  # of filling a target, below which a trial that has its few members ends
Sampler = Literal["gp", "tpe", "random"]


@dataclass(frozen=True)
class Effort:
    """How much is trained."""

    few: int
    """Members that a trial begins with."""
    members: int
    """Of a cell that fills a target."""
    trials: int
    """At most, those of earlier drivers included."""


@dataclass(frozen=True)
class Progress:
    filled: Mapping[float, Told]
    open: Sequence[float]
    trials: int


def sampler(kind: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's own proposals: where the Gaussian process makes none, and to compare it with."""
    if kind == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False)


def progress(study: optuna.Study, targets: Targets) -> Progress:
    """From the study alone: a target is filled by a trial whose cell has all its members and their mean
    accuracy is within the tolerance of it."""
    finished = told(study)
    whole = [t for t in finished if t.notes.get("whole") and t.estimate is not None]
    accuracies = [t.estimate.accuracy for t in whole if t.estimate is not None]
    filled = {target: whole[i] for target, i in targets.filled(accuracies).items()}
    return Progress(filled, [t for t in targets.values if t not in filled], len(finished))


def fill(
    study: optuna.Study,
    space: Space,
    sizes: Mapping[str, int],
    targets: Targets,
    train: Train,
    effort: Effort,
    kind: Sampler = "gp",
    seed: int = 0,
    report: Callable[[Told, Progress], None] = lambda trial, progress: None,
) -> Progress:
    """Try recipes until every target is filled, or there have been enough trials.

    A trial is stopped early as soon as the 95 % interval of its cell's accuracy is clear of every open
    target. One that has its few members and is within the tolerance of an open target goes on to all its
    members, and fills it if it still is. sizes: parameters of each model.
    """
    now = progress(study, targets)
    while now.open and now.trials < effort.trials:
        finished = told(study)
        seen = [(t.point, t.estimate or _floor(finished)) for t in finished]
        proposal = partial(propose, space, sizes, seen, running(study), targets, now.open, effort.few, seed)
        trial, point = ask(study, space, proposal if kind == "gp" else None)
        judge = _Judge(targets, now.open, effort, Scatter.of([e for _, e in seen]))
        outcome = run_trial(study, trial, point, train, judge.enough, judge.verdict)
        now = progress(study, targets)
        report(outcome, now)
    return now


@dataclass(frozen=True)
class _Judge:
    """Of one trial, from its members so far."""

    targets: Targets
    open: Sequence[float]
    effort: Effort
    scatter: Scatter

    def enough(self, accuracies: Accuracies) -> bool:
        e = Estimate.of(list(accuracies.values()))
        if e.members >= self.effort.members or self._clear(e):
            return True
        return e.members >= self.effort.few and self._hope(e) < HOPE

    def verdict(self, e: Estimate) -> Verdict:
        whole = e.members >= self.effort.members
        distance = self.targets.distance(e.accuracy, self.open)
        return Verdict(distance, pruned=not whole and self._clear(e), notes={"whole": whole})

    def _hope(self, e: Estimate) -> float:
        """Probability that the accuracy is within the band of an open target."""
        bands = (logit(self.targets.bands(self.open)) - e.logit) / self.scatter.error(e)
        return float(np.diff(norm.cdf(bands)).sum())

    def _clear(self, e: Estimate) -> bool:
        """Whether the interval is clear of every open target."""
        if e.members < 2:
            return False
        low, high = self.scatter.interval(e)
        return all(high < a or low > b for a, b in self.targets.bands(self.open).tolist())


def _floor(finished: Sequence[Told]) -> Estimate:
    """Stands for a trial that failed: as bad as the worst, so that the like of it is not tried next."""
    known = [t.estimate for t in finished if t.estimate is not None]
    return Estimate(min((e.accuracy for e in known), default=0.1), 2, 0.0)
