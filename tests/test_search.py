"""Choosing recipes: spaces, targets, proposals, and a search in Optuna's own storage."""

import json
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from scipy.special import expit, logit

from memreg.errors import MemregError
from memreg.search.accuracy import Estimate, Scatter
from memreg.search.fill import Effort, fill, progress, sampler
from memreg.search.space import load_space, parse_space
from memreg.search.targets import Targets
from memreg.search.trials import told

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
EFFORT = Effort(few=3, members=10, trials=60)


def train(point, number, enough):
    true = expit(np.log(point["epochs"] / 6) + (point["model"] == "vgg3-w32") + 0.3)
    rng, accuracies = np.random.default_rng(number), {}
    while not accuracies or not enough(accuracies):
        accuracies[len(accuracies)] = float(expit(logit(true) + 0.05 * rng.normal()))
    return accuracies, {"cell": f"{number}"}


def test_shipped_spaces_and_what_a_point_stands_for():
    for name in ("small", "paper"):
        assert "model" in load_space(name).choices
    space = load_space("small", noise=0.4)
    for point in space.points(20, 0):
        plan = space.plan(point, "digits", 40)
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


def test_targets_are_filled_and_the_study_says_so():
    study = optuna.create_study(sampler=sampler("random", 0))
    done = fill(study, SPACE, SIZES, TARGETS, train, EFFORT)
    assert not done.open
    for target, trial in done.filled.items():
        assert abs(trial.estimate.accuracy - target) <= 0.02
        assert trial.estimate.members == 10
    assert progress(study, TARGETS).filled.keys() == done.filled.keys()
    few = [t.estimate.members for t in told(study) if not t.notes["whole"]]
    assert min(few) < 10


def test_a_failed_trial_is_told_as_failed_and_the_search_goes_on():
    def sometimes(point, number, enough):
        if number in (1, 3):
            raise RuntimeError("out of\nmemory")
        return ({}, {}) if number == 4 else train(point, number, enough)

    study = optuna.create_study(sampler=sampler("random", 0))
    done = fill(study, SPACE, SIZES, TARGETS, sometimes, Effort(few=3, members=10, trials=9))
    assert done.trials > 5
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert [t.number for t in failed] == [1, 3, 4]
    assert failed[0].user_attrs["error"] == "RuntimeError: out of memory"
    assert "diverged" in failed[2].user_attrs["error"]


def test_nothing_but_failures_stops_the_search():
    def never(point, number, enough):
        raise RuntimeError("no space left")

    with pytest.raises(MemregError, match=r"5 trials in a row failed.*no space left"):
        fill(optuna.create_study(sampler=sampler("random", 0)), SPACE, SIZES, TARGETS, never, EFFORT)


def test_an_interrupted_trial_is_taken_up_again(tmp_path):
    storage, points = f"sqlite:///{tmp_path}/optuna.db", []

    def interrupted(point, number, enough):
        points.append((number, point))
        if len(points) == 2:
            raise KeyboardInterrupt
        return train(point, number, enough)

    study = optuna.create_study(storage=storage, study_name="s", sampler=sampler("random", 0))
    with pytest.raises(KeyboardInterrupt):
        fill(study, SPACE, SIZES, TARGETS, interrupted, EFFORT)
    assert len(study.get_trials(states=(TrialState.RUNNING,))) == 1
    again = optuna.load_study(storage=storage, study_name="s", sampler=sampler("random", 0))
    fill(again, SPACE, SIZES, TARGETS, interrupted, Effort(few=3, members=10, trials=3))
    assert points[2] == points[1]
    assert not again.get_trials(states=(TrialState.RUNNING,))


def test_optuna_dashboard_lists_the_trials(tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard")
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/optuna.db")
    study = optuna.create_study(storage=storage, study_name="s", sampler=sampler("random", 0))
    fill(study, SPACE, SIZES, TARGETS, train, Effort(few=3, members=10, trials=3))
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
