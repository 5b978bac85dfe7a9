"""Trials of a search in Optuna: asked for, taken over from a driver that died, told.

A trial is a cell in training. It stays RUNNING in Optuna's storage until it is told, whatever becomes of its
driver; the next driver finds it there and goes on with it, and the cell's stored members with it.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from memreg.errors import MemregError
from memreg.search.accuracy import Estimate
from memreg.search.space import Point, Space

optuna.logging.set_verbosity(optuna.logging.WARNING)
FAILURES = 5  # in a row, after which it is not the recipe
DRIVER = "driver"

Accuracies = Mapping[int, float]
"""Test accuracy by member."""
Train = Callable[[Point, int, Callable[[Accuracies], bool]], tuple[Accuracies, dict[str, Any]]]
"""(point, number of the trial, whether that is enough) -> accuracies, and what to note of the trial: trains
members of the point's cell one by one until it is enough."""


@dataclass(frozen=True)
class Told:
    """A finished trial."""

    number: int
    point: Point
    state: str
    """complete, pruned or failed."""
    estimate: Estimate | None
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """On a trial that trained."""

    value: float
    """Optuna's."""
    pruned: bool
    notes: Mapping[str, Any]


def told(study: optuna.Study) -> list[Told]:
    """All finished trials, in order."""
    return [_told(t) for t in study.get_trials(deepcopy=False) if t.state.is_finished()]


def running(study: optuna.Study) -> list[Point]:
    """What other drivers are trying."""
    found = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [t.params for t in found if not _abandoned(t)]


def ask(study: optuna.Study, space: Space, propose: Callable[[], Point] | None = None) -> tuple[Trial, Point]:
    """A trial whose driver died, else a new one: as proposed, else as Optuna's sampler suggests."""
    me = f"{socket.gethostname()}:{os.getpid()}"
    for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _abandoned(t):
            trial = Trial(study, t._trial_id)
            break
    else:
        if propose is not None:
            study.enqueue_trial(propose(), user_attrs={DRIVER: me}, skip_if_exists=True)
        trial = study.ask()
    trial.set_user_attr(DRIVER, me)
    return trial, _suggest(trial, space)


def run_trial(
    study: optuna.Study,
    trial: Trial,
    point: Point,
    train: Train,
    enough: Callable[[Accuracies], bool],
    judge: Callable[[Estimate], Verdict],
) -> Told:
    """Train, and tell; as failed, where training fails."""
    try:
        accuracies, notes = train(point, trial.number, enough)
        if not accuracies:
            raise MemregError("every member diverged: its outputs are not numbers")
    except Exception as error:
        trial.set_user_attr("error", f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
        study.tell(trial, state=TrialState.FAIL)
        _too_many(told(study))
    else:
        e = Estimate.of(list(accuracies.values()))
        verdict = judge(e)
        notes = {**notes, **verdict.notes, "test_accuracy": e.accuracy, "members": e.members}
        for key, note in (notes | {"squares": e.squares}).items():
            trial.set_user_attr(key, note)
        if verdict.pruned:
            trial.report(verdict.value, e.members)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, verdict.value)
    return _told(study.get_trials(deepcopy=False)[trial.number])


def _told(t: FrozenTrial) -> Told:
    notes = {key: value for key, value in t.user_attrs.items() if key != DRIVER}
    estimate = None
    if "test_accuracy" in notes:
        estimate = Estimate(notes["test_accuracy"], notes["members"], notes["squares"])
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(t.state, "failed")
    return Told(t.number, t.params, state, estimate, notes)


def _suggest(trial: Trial, space: Space) -> Point:
    point: Point = {n: trial.suggest_categorical(n, values) for n, values in space.choices.items()}
    for name, r in space.ranges.items():
        if r.whole:
            point[name] = trial.suggest_int(name, int(r.low), int(r.high), log=r.log)
        else:
            point[name] = trial.suggest_float(name, r.low, r.high, log=r.log)
    return point


def _abandoned(t: FrozenTrial) -> bool:
    """Whether its driver, on this machine, is no more."""
    host, _, pid = t.user_attrs.get(DRIVER, "").rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()


def _too_many(trials: Sequence[Told]) -> None:
    last = trials[-FAILURES:]
    if len(last) == FAILURES and all(t.state == "failed" for t in last):
        raise MemregError(f"{FAILURES} trials in a row failed, the last with: {last[-1].notes.get('error')}")
