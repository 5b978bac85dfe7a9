"""What a grid will cost, from a few steps of each model."""

import json
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
import torch
import yaml
from hungry import hungry
from studies import TINY, bad_input, program, tiny

from memreg.cli import memreg
from memreg.data import load
from memreg.engines import Resources
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.studies import timing
from memreg.studies.calibration import KEPT, Calibration, calibration, hours
from memreg.studies.costs import on_gpus
from memreg.studies.resolved import resolve
from memreg.studies.timing import WARM, timed
from memreg.together import STREAMS, Room

SLOW_AT_FIRST = f"""
import json, os, time
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], classes)
        self.steps = 0

    def forward(self, images):
        if self.training and len(images) > 16:  # a whole batch
            self.steps += 1
            if self.steps <= {WARM}:
                time.sleep(1)
            with open("steps", "a") as file:
                file.write(json.dumps([os.getpid(), self.steps, time.time()]) + "\\n")
        return self.layer(images.flatten(1))
"""


@pytest.fixture
def slow_at_first(tmp_path, monkeypatch):
    (tmp_path / "slow_at_first.py").write_text(SLOW_AT_FIRST)
    monkeypatch.chdir(tmp_path)
    return "slow_at_first:Net"


def test_what_only_the_first_steps_cost_is_not_timed(slow_at_first):
    recipe = Recipe(model=slow_at_first, epochs=2, batch_size=64, learning_rate=0.1)
    step, prediction = timed(recipe, load("digits"), torch.device("cpu"), "memory", lambda _: None)
    assert 0 < step < 0.2
    assert 0 < prediction < step


@pytest.mark.parametrize("refused", [0, 1])
def test_members_that_are_trained_together_are_timed_together(monkeypatch, refused):
    """As on a GPU: a step of as many as there is room for, divided by so many."""
    taken, met, rooms, alive = [], [], [], []

    def a_second(device, run):
        taken.append(run())
        return 1.0

    class Refusing(Room):
        def begin(self, members):
            alive.append(sum(room() is not None for room in rooms))
            rooms.append(ref(self))
            advance = super().begin(members)
            if len(rooms) <= refused:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return advance

    monkeypatch.setattr(timing, "at_once", lambda *_: STREAMS)
    monkeypatch.setattr(timing, "_seconds", a_second)
    monkeypatch.setattr(timing, "Room", Refusing)
    recipe = Recipe(model="vgg6-w16", epochs=2, batch_size=16, learning_rate=0.1)
    dataset = load("digits+subset=100+size=32")
    step, prediction = timed(recipe, dataset, torch.device("cpu"), "memory", met.append)
    assert met == [timing.PATIENCE]
    assert [len(steps) for steps in taken[:2]] == [1, 3]
    assert step == 1 / 3 / (STREAMS >> refused)
    assert alive == [0] * (refused + 1), "what ran out of memory is gone before fewer are made"
    assert prediction == 1 / (dataset.n_train + dataset.n_test)


def test_as_many_processes_are_timed_as_will_train_and_at_the_same_time(slow_at_first, tmp_path):
    grid = {
        "name": "own",
        "description": "",
        "members": 4,
        "defaults": {**TINY["defaults"], "model": slow_at_first},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(grid | {"cells": [{"dataset": "digits"}]}))
    resources = Resources(device="cpu", workers=3)
    (item,) = resolve([*_cells(tmp_path / "own.yaml")])
    with calibration(resources) as measured:
        assert measured.member_seconds(item.cell, item.dataset) > 0
    steps = [json.loads(line) for line in (tmp_path / "steps").read_text().splitlines()]
    timed_steps = {}
    for pid, step, at in steps:
        if step > WARM:
            timed_steps.setdefault(pid, []).append(at)
    assert len(timed_steps) == 3
    assert max(min(at) for at in timed_steps.values()) < min(max(at) for at in timed_steps.values())


def _cells(path):
    from memreg.grid import load_grid

    return load_grid(str(path), None).cells


def test_what_cannot_be_timed_is_one_line_of_a_plan_and_no_hindrance_to_training(
    tmp_path, monkeypatch, capsys
):
    grid = hungry(tmp_path, "driver", 1)
    monkeypatch.chdir(tmp_path)
    (item, *_) = resolve(grid.cells)
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(TINY | {"defaults": TINY["defaults"] | {"model": item.cell.recipe.model}})
    )
    words = ("plan", "--grid", "own.yaml", "--device", "cpu", "--workers", "2")
    bad_input(monkeypatch, capsys, memreg, *words, match="cannot be timed in 2 processes: CUDA error: out of")
    took, whole = hours([(item.cell, item.dataset, 4)], Resources(device="cpu", workers=2))
    assert (took, whole) == (0, False)


@pytest.mark.parametrize(("how", "said"), [("driver", "out of memory"), ("kernel", "a process died")])
def test_the_next_model_is_timed_after_one_that_cannot_be(tmp_path, monkeypatch, how, said):
    """But not in processes of which one has died, of which each is told in one line."""
    grid = hungry(tmp_path, how, 1)
    monkeypatch.chdir(tmp_path)
    (wrong, *_), (right, *_) = resolve(grid.cells), resolve(tiny().cells)
    with calibration(Resources(device="cpu", workers=2)) as measured:
        with pytest.raises(MemregError, match=said):
            measured.member_seconds(wrong.cell, wrong.dataset)
        if how == "kernel":
            with pytest.raises(
                MemregError, match="a process died, or hung, while steps of vgg3-w8 were timed"
            ):
                measured.member_seconds(right.cell, right.dataset)
        else:
            assert measured.member_seconds(right.cell, right.dataset) > 0


def test_what_goes_wrong_in_a_glance_is_no_hindrance_to_training(monkeypatch):
    def wrong(*_):
        raise RuntimeError("no kernel for that")

    monkeypatch.setattr(timing, "timed", wrong)
    (item, *_) = resolve(tiny().cells)
    assert hours([(item.cell, item.dataset, 4)], Resources(device="cpu", workers=2)) == (0, False)


def test_a_part_of_a_large_data_set_is_timed_with_as_many_steps_as_all_of_it():
    """Their number decides whether passes are fused, and a short recipe's figure is not a long one's."""
    asked = []

    def measure(recipe, dataset):
        asked.append((recipe.epochs * dataset.n_train, dataset.n_train))
        return 1.0, 0.0

    (item, *_) = resolve(tiny().cells)
    large = replace(load("digits"), train_images=np.zeros((50_000, 8, 8, 1), np.uint8))
    large = replace(large, train_labels=np.zeros(50_000, np.int64))
    measured = Calibration(measure)
    for epochs in (1, 100):
        recipe = item.cell.recipe.model_copy(update={"epochs": epochs, "batch_size": 512})
        cell = item.cell.model_copy(update={"recipe": recipe})
        measured.member_seconds(cell, large)
        seen, n = asked[-1]
        assert n == KEPT
        assert epochs * 50_000 <= seen < epochs * 50_000 + n
    assert len(asked) == 2


def test_a_gpus_hours_on_several():
    assert on_gpus(640) == "27 days on 1 GPU, 3 days on 8, 10.0 h on 64"


def test_a_plan_for_a_cpu_says_nothing_of_gpus(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(TINY | {"cells": TINY["cells"][:1]}))
    said = program(
        monkeypatch, capsys, memreg, "plan", "--grid", "one.yaml", "--device", "cpu", "--workers", "2"
    )
    assert "on this machine (2 processes on cpu), from a few steps of each model" in said
    assert "GPU" not in said
