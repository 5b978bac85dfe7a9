"""Choosing recipes: spaces, targets, proposals, and a search in Optuna's own storage."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from parts import ROOT
from scipy.special import expit, logit

from memreg.errors import MemregError, OutageError
from memreg.search import optimize
from memreg.search.accuracy import Estimate, Scatter
from memreg.search.fill import Fill, progress, sampler
from memreg.search.space import load_space, parse_space
from memreg.search.storage import open_storage, storage_url
from memreg.search.targets import Targets
from memreg.search.trials import Search, search, told

SPACE = parse_space(
    {
        "model": ["vgg3-w8", "vgg3-w32"],
        "epochs": {"low": 1, "high": 30, "log": True},
        "learning_rate": {"low": 0.01, "high": 0.4, "log": True},
        "batch_size": 128,
    },
    "test",
)
SIZES = {"vgg3-w8": 6_000, "vgg3-w32": 90_000}
TARGETS = Targets.spaced(3, 0.6, 0.8, 0.02)


def train(trial, point):
    true = expit(np.log(point["epochs"] / 6) + (point["model"] == "vgg3-w32") + 0.3)
    rng, accuracies = np.random.default_rng(trial.number), {}

    def grow(members):
        while len(accuracies) < members:
            accuracies[len(accuracies)] = float(expit(logit(true) + 0.05 * rng.normal()))
        return accuracies

    return grow


def new_study(storage=None):
    return optuna.create_study(storage=storage, study_name="s", sampler=sampler(), load_if_exists=True)


def fill(study, train=train, trials=60, targets=TARGETS, space=SPACE, alone=nullcontext):
    search(Search(study, space, Fill(study, space, SIZES, targets), 10, trials), train, alone=alone)
    return progress(told(study), targets)


def test_shipped_spaces_and_what_a_point_stands_for():
    for name in ("small", "paper"):
        assert "model" in load_space(name).choices
    space = load_space("small", noise=0.4)
    for point in space.points(20, 0):
        plan = space.planned(point, "digits", 40)
        assert plan.recipe.model == point["model"]
        assert plan.recipe.batch_size == 128
        assert isinstance(plan.recipe.epochs, int)
        assert ("+noise=" in plan.dataset) == (round(point["noise"], 2) > 0)
    assert space.points(5, 1) == space.points(20, 1)[:5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "mapping"),
        ({"model": "vgg3-w8", "epochs": 3}, "nothing varies"),
        ({"model": "vgg3-w8", "epochs": {"low": 3, "high": 1}}, "a range is"),
        ({"model": "vgg3-w8", "epochs": {"low": 1, "high": 3, "lgo": True}}, "a range is"),
        ({"model": "vgg3-w8", "weight_decay": {"low": 0, "high": 1, "log": True}}, "begins above 0"),
        ({"model": "vgg3-w8", "epocs": [1, 2]}, "did you mean epochs"),
        ({"model": "vgg3-w8", "epochs": [1, 0]}, "epochs"),
        ({"model": "vgg3-w8", "noise": {"low": 0, "high": 1.5}}, "noise must be a share"),
    ],
)
def test_bad_spaces_are_refused(content, message):
    with pytest.raises(MemregError, match=message):
        parse_space(content, "test")


def test_targets():
    assert TARGETS.values == (0.6, 0.7, 0.8)
    assert TARGETS.filled([0.61, 0.59, 0.75, 0.81]) == {0.6: 0, 0.8: 3}
    for low, high, tolerance in ((0.8, 0.6, 0.01), (0, 0.5, 0.01), (0.5, 1, 0.01), (0.5, 0.9, 0)):
        with pytest.raises(MemregError):
            Targets.spaced(3, low, high, tolerance)


def test_interval_of_few_members_covers():
    rng, true, covered = np.random.default_rng(0), logit(0.8), []
    scatter = Scatter.of([Estimate.of(expit(rng.normal(true, 0.1, 4))) for _ in range(30)])
    for _ in range(400):
        low, high = scatter.interval(Estimate.of(expit(rng.normal(true, 0.1, 4))))
        covered.append(low <= 0.8 <= high)
    assert np.mean(covered) > 0.93


def test_targets_are_filled_and_most_trials_end_early():
    study = new_study()
    done = fill(study)
    assert not done.open
    assert list(done.filled) == [0.6, 0.7, 0.8]
    for target, trial in done.filled.items():
        assert abs(trial.estimate.accuracy - target) <= 0.02
        assert trial.estimate.members == 10
    early = [t.estimate.members for t in told(study) if not t.whole]
    assert set(early) <= {2, 4, 8}
    assert 2 in early
    states = {t.state for t in study.get_trials()}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}


def test_more_targets_are_filled_from_what_is_known():
    study = new_study()
    trials = len(told(study)) if fill(study) else 0
    both = Targets.spaced(5, 0.6, 0.8, 0.02)
    kept = progress(told(study), both).filled
    assert {0.6, 0.7, 0.8} <= kept.keys()
    assert not fill(study, targets=both).open
    assert len(told(study)) > trials


def test_a_failed_trial_is_told_as_failed_and_the_search_goes_on():
    def sometimes(trial, point):
        if trial.number in (1, 3):
            raise RuntimeError("out of\nmemory")
        return (lambda members: {}) if trial.number == 4 else train(trial, point)

    study = new_study()
    fill(study, sometimes, trials=9)
    assert len(told(study)) == 9
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert [t.number for t in failed] == [1, 3, 4]
    assert failed[0].user_attrs["error"] == "RuntimeError: out of memory"
    assert "diverged" in failed[2].user_attrs["error"]


def test_nothing_but_failures_stops_the_search():
    def never(trial, point):
        raise RuntimeError("no space left")

    with pytest.raises(MemregError, match=r"5 trials in a row failed.*no space left"):
        fill(new_study(), never)


def test_a_space_without_more_recipes_ends_the_search():
    space = parse_space({"model": ["vgg3-w8", "vgg3-w32"], "epochs": 5}, "test")
    study = new_study()
    done = fill(study, lambda trial, point: train(trial, {**point, "epochs": 5}), space=space)
    assert len(told(study)) == 2
    assert len(done.open) > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OutageError])
def test_an_interrupted_trial_is_told_as_failed_and_its_recipe_is_the_next(error, tmp_path):
    storage, points = f"sqlite:///{tmp_path}/optuna.db", []

    def interrupted(trial, point):
        points.append(point)
        if len(points) == 2:
            raise error
        return train(trial, point)

    with pytest.raises(error):
        fill(new_study(storage), interrupted)
    study = new_study(storage)
    assert [t.state for t in study.get_trials()][1:] == [TrialState.FAIL, TrialState.WAITING]
    fill(study, interrupted, trials=3)
    assert points[2] == points[1]
    assert len(told(study)) == 3
    assert len(points) == 4


@pytest.mark.parametrize(
    ("tracking", "storage"),
    [
        ("sqlite:////a/b/mlflow.db", "sqlite:////a/b/mlflow.optuna.db"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.optuna.db"),
        ("postgresql://me:pw@host:5432/db", "postgresql://me:pw@host:5432/db?options=-csearch_path%3Doptuna"),
        ("http://host:5000", "sqlite:///optuna.db"),
    ],
)
def test_where_trials_are_kept(tracking, storage):
    assert storage_url(tracking) == storage


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "nonsense", "postgresql://u:pw@127.0.0.1:1/x"]
)
def test_a_storage_that_cannot_be_is_refused(url):
    with pytest.raises(MemregError, match="storage") as refused:
        open_storage(url)
    assert "pw" not in str(refused.value)


DRIVER = """
import functools, sys, time
import test_search as t
from memreg.search.storage import exclusively, open_storage
storage = open_storage(sys.argv[1])
study, alone = t.new_study(storage), functools.partial(exclusively, storage)
def train(trial, point):
    print(trial.number, flush=True)
    time.sleep(float(sys.argv[2]))
    return t.train(trial, point)
print("ready", flush=True)
input()
t.fill(study, train, trials=int(sys.argv[3]), alone=alone)
"""


def driver(storage, seconds, trials):
    path = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests" / "helpers", ROOT)))
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, storage, str(seconds), str(trials)],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(*drivers):
    """Once all of them are ready, they begin."""
    for each in drivers:
        assert each.stdout.readline() == "ready\n"
    for each in drivers:
        print(file=each.stdin, flush=True)


def test_the_trial_of_a_killed_driver_is_told_as_failed_and_tried_again(tmp_path):
    storage = f"sqlite:///{tmp_path}/optuna.db"
    process = driver(storage, 600, 3)
    go(process)
    assert process.stdout.readline() == "0\n"
    study, points = new_study(storage), []
    assert [t.state for t in study.get_trials()] == [TrialState.RUNNING]

    def noted(trial, point):
        points.append(point)
        return train(trial, point)

    fill(study, noted, trials=1)  # its driver lives: another recipe is tried
    assert points[0] != study.get_trials()[0].params
    process.kill()
    process.wait()
    fill(study, noted, trials=2)
    states = [t.state for t in study.get_trials()]
    assert states[0] == TrialState.FAIL
    assert TrialState.RUNNING not in states
    assert points[1] == study.get_trials()[0].params
    assert [t.number for t in told(study)] == [1, 2]


@pytest.mark.parametrize("name", ["set_user_attr", "suggest_int"])
def test_interrupted_before_its_cell_is_begun_a_trial_is_given_up_with_its_whole_recipe(monkeypatch, name):
    study = new_study()

    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.trial.Trial, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(study, trials=1)
    assert [t.state for t in study.get_trials()] == [TrialState.FAIL, TrialState.WAITING]
    points = []

    def noted(trial, point):
        points.append(point)
        return train(trial, point)

    fill(study, noted, trials=1)
    assert points == [SPACE.points(1, 0)[0]]


def test_several_drivers_try_different_recipes(tmp_path):
    storage = f"sqlite:///{tmp_path}/optuna.db"
    drivers = [driver(storage, 0.05, 12) for _ in range(2)]
    go(*drivers)
    numbers = [[int(line) for line in d.communicate()[0].split()] for d in drivers]
    assert [d.returncode for d in drivers] == [0, 0]
    assert all(numbers)
    assert sorted([*numbers[0], *numbers[1]]) == list(range(len(numbers[0]) + len(numbers[1])))
    params = [json.dumps(t.params, sort_keys=True) for t in new_study(storage).get_trials()]
    assert len(set(params)) == len(params)


def test_a_recipe_whose_trial_ends_while_the_next_is_chosen_is_not_chosen_again():
    study = new_study()
    goal = Fill(study, SPACE, SIZES, TARGETS)
    first = goal.propose()
    study.enqueue_trial(first)
    trial = study.ask()
    trial.suggest_categorical("model", SPACE.choices["model"])
    trial.suggest_int("epochs", 1, 30, log=True)
    trial.suggest_float("learning_rate", 0.01, 0.4, log=True)
    read = study.get_trials

    def another_driver_tells_after_the_read(**options):
        trials = read(**options)
        if read()[trial.number].state == TrialState.RUNNING:
            study.tell(trial, 0.0)
        return trials

    study.get_trials = another_driver_tells_after_the_read
    assert goal.propose() != first


def test_the_best_recipe_and_worse_ones_pruned():
    study = optuna.create_study(direction="maximize", sampler=optimize.sampler(), pruner=optimize.pruner())
    search(Search(study, SPACE, optimize.Optimize(study), 10, 40), train)
    assert study.best_params["epochs"] > 20
    assert study.best_params["model"] == "vgg3-w32"
    assert study.best_value == pytest.approx(study.best_trial.user_attrs["test_accuracy"])
    pruned = [t for t in told(study) if t.state == "pruned"]
    assert len(pruned) > 10
    assert {t.estimate.members for t in pruned} <= {4, 8}


def test_optuna_dashboard_lists_the_trials(tmp_path):
    import optuna_dashboard as dashboard

    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/optuna.db")
    fill(new_study(storage), trials=3)
    app = dashboard.wsgi(storage)

    def get(path):
        environ, status = {}, []
        setup_testing_defaults(environ)
        body = app(environ | {"PATH_INFO": path}, lambda s, headers, exc=None: status.append(s))
        assert status[0].startswith("200"), status
        return json.loads(b"".join(body))

    (listed,) = get("/api/studies")["study_summaries"]
    assert listed["study_name"] == "s"
    trials = get(f"/api/studies/{listed['study_id']}")["trials"]
    assert [t["number"] for t in trials] == [0, 1, 2]
    assert all("test_accuracy" in {a["key"] for a in t["user_attrs"]} for t in trials)
