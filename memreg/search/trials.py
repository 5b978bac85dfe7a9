"""Trials in Optuna: asked for, grown member by member, told.

A trial is a cell in training. When its driver is interrupted, dies or loses its registry, or another driver
is at work on the cell, it is given up, and nothing is lost: its recipe is tried again, and the cell keeps the
members that it has.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, Trial, TrialState

from memreg.errors import MemregError, OutageError, TakenError
from memreg.processes import exists, machine
from memreg.search.accuracy import Estimate
from memreg.search.space import Point, Space

optuna.logging.set_verbosity(optuna.logging.WARNING)
FAILURES = 5  # in a row, after which it is not the recipe
DRIVER = "driver"
STOPPED = (KeyboardInterrupt, TakenError, OutageError, OptunaError)
"""What ends a driver, and is no fault of its trial's recipe."""

Accuracies = Mapping[int, float]
"""Test accuracy by member; of those that did not diverge."""
Grow = Callable[[int], Accuracies]
"""Trains a cell until it has so many members."""
Train = Callable[[Trial, Point], Grow]
"""Finds or begins the cell of a trial."""


class ExhaustedError(Exception):
    """There is no recipe that was not tried."""


@dataclass(frozen=True)
class Told:
    """A finished trial."""

    number: int
    point: Point
    state: str
    """complete, pruned or failed."""
    estimate: Estimate | None
    """None if it failed."""
    notes: Mapping[str, Any]

    @property
    def whole(self) -> bool:
        """Whether its cell has all its members."""
        return bool(self.notes.get("whole"))


@dataclass(frozen=True)
class Verdict:
    """What a trial's members so far say of it."""

    value: float
    """The value told to Optuna."""
    stop: bool
    """Train no more of its members."""
    pruned: bool = False


class Goal(Protocol):
    """What a search is for."""

    def reached(self) -> bool: ...

    def propose(self) -> Point | None:
        """What to try next; None to leave it to Optuna's sampler. Raises `ExhaustedError`."""

    def judge(self, trial: Trial, accuracies: Accuracies) -> Verdict: ...


@dataclass(frozen=True)
class Search:
    """What is looked for, where, and for how long."""

    study: optuna.Study
    space: Space
    goal: Goal
    members: int
    """Of a cell that is not stopped early; it gets 2, 4, 8, .. of them, and is judged after each step."""
    trials: int
    """At most, earlier drivers' included."""


def search(
    what: Search,
    train: Train,
    report: Callable[[Told], None] = lambda told: None,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """One trial after another until the goal is reached, or there were enough of them.

    alone: keeps the other drivers of this study waiting.
    Raises `MemregError` when several trials in a row have failed.
    """
    study, goal = what.study, what.goal
    while True:
        try:
            with alone():
                if goal.reached() or len(told(study)) >= what.trials:
                    return
                try:
                    trial, point = _ask(study, what.space, goal)
                except ExhaustedError:
                    return
            finished = _run(study, trial, point, goal, train, what.members)
        except STOPPED:
            with suppress(Exception), alone():  # if that fails too, the next driver does it
                _give_up_abandoned(study)
            raise
        report(finished)


def told(study: optuna.Study) -> list[Told]:
    """All finished trials, in order, without those that were given up."""
    finished = (t for t in study.get_trials(deepcopy=False) if t.state.is_finished())
    return [_told(t) for t in finished if t.state != TrialState.FAIL or "error" in t.user_attrs]


def running(study: optuna.Study) -> list[Point]:
    """What is being tried."""
    return [t.params for t in _running(study)]


def report_new(study: optuna.Study, trial: Trial, values: Mapping[int, float]) -> None:
    """Intermediate values by step, those that Optuna does not have yet."""
    known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for step, value in values.items():
        if step not in known:
            trial.report(value, step)


def _ask(study: optuna.Study, space: Space, goal: Goal) -> tuple[Trial, Point]:
    """A trial that was given up, else a new one: as the goal proposes, else as Optuna's sampler suggests."""
    _give_up_abandoned(study)
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        point = goal.propose()
        if point is not None:
            study.enqueue_trial(point)
    trial = study.ask()
    trial.set_user_attr(DRIVER, f"{machine()}:{os.getpid()}")
    return trial, space.readable(_suggest(trial, space))


def _running(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _run(study: optuna.Study, trial: Trial, point: Point, goal: Goal, train: Train, members: int) -> Told:
    try:
        grow = train(trial, point)
        for wanted in _steps(members):
            accuracies = grow(wanted)
            if not accuracies:
                raise MemregError("every member diverged: its outputs are not numbers")
            verdict = goal.judge(trial, accuracies)
            if verdict.stop:
                break
    except STOPPED:
        raise
    except Exception as error:
        trial.set_user_attr("error", f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
        study.tell(trial, state=TrialState.FAIL)
        _too_many(told(study))
    else:
        e, whole = Estimate.of(list(accuracies.values())), wanted == members
        notes = {"test_accuracy": e.accuracy, "members": e.members, "squares": e.squares, "whole": whole}
        for key, note in notes.items():
            trial.set_user_attr(key, note)
        if verdict.pruned and not whole:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, verdict.value)
    return _told(study.get_trials(deepcopy=False)[trial.number])


def _steps(members: int) -> Iterator[int]:
    wanted = 2
    while wanted < members:
        yield wanted
        wanted *= 2
    yield members


def _told(t: FrozenTrial) -> Told:
    notes, estimate = t.user_attrs, None
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


def _give_up_abandoned(study: optuna.Study) -> None:
    """Told as failed, without an error, and their recipes are the next to be tried."""
    for t in _running(study):
        if _abandoned(t) and t.number in {r.number for r in _running(study)}:  # not told as its driver ended
            study.tell(t.number, state=TrialState.FAIL)
            study.enqueue_trial({**t.system_attrs.get("fixed_params", {}), **t.params})


def _abandoned(t: FrozenTrial) -> bool:
    """Whether the trial was given up: its driver ran on this machine and has ended, or is this driver, which
    asks for a trial only when it has none.

    No other driver may ask meanwhile.
    """
    where, _, pid = t.user_attrs.get(DRIVER, "").rpartition(":")
    if where != machine():
        return not where
    return int(pid) == os.getpid() or not exists(int(pid))


def _too_many(trials: Sequence[Told]) -> None:
    last = trials[-FAILURES:]
    if len(last) == FAILURES and all(t.state == "failed" for t in last):
        raise MemregError(f"{FAILURES} trials in a row failed, the last with: {last[-1].notes['error']}")
