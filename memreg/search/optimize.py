"""The recipe with the best test accuracy."""

import warnings
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial

from memreg.search.space import Point
from memreg.search.trials import Accuracies, Verdict, report_new


def sampler() -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=0)


def pruner() -> optuna.pruners.BasePruner:
    """Stops a trial whose members are worse than the best trial's by Wilcoxon's signed-rank test.

    Members of the same index are a pair: in cells of one design they include the same examples.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner()


@dataclass(frozen=True)
class Optimize:
    """The goal of `memreg.search.trials.search` on a study whose direction is `maximize`: a trial's value is
    its cell's test accuracy."""

    study: optuna.Study

    def reached(self) -> bool:
        return False

    def propose(self) -> Point | None:
        return None

    def judge(self, trial: Trial, accuracies: Accuracies) -> Verdict:
        report_new(self.study, trial, accuracies)
        worse = trial.should_prune()
        return Verdict(sum(accuracies.values()) / len(accuracies), stop=worse, pruned=worse)
