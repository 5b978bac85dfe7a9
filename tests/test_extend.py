"""docs/extend.md: each of its parts of one's own is run, as it says there and through `mlflow run`."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from parts import ROOT
from studies import bad_input, uri

from entrypoints.train import train
from memreg.engines import Job, Resources, engine
from memreg.errors import MemregError
from memreg.grid import load_grid, parse_grid
from memreg.registry import Registry
from memreg.search.space import load_space
from memreg.studies.resolved import resolve
from memreg.user_code import digest

TEXT = (ROOT / "docs" / "extend.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
ALL_COMMANDS = re.findall(r"```sh\n(memreg .*?)\n```", TEXT)
TRACED = [command for command in ALL_COMMANDS if "--observers" in command]
COMMANDS = [command for command in ALL_COMMANDS if command not in TRACED]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    directory = tmp_path_factory.mktemp("own")
    for name, code in FILES.items():
        (directory / name).write_text(code)
    return directory


def mlflow_run(directory, command):
    """Run a command of memreg's as the entry point of its name."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri(directory), "PYTHONPATH": str(directory)}
    _, name, *words = shlex.split(command)
    given = [
        f"-P{key.removeprefix('--').replace('-', '_')}={value}"
        for key, value in zip(words[::2], words[1::2], strict=True)
    ]
    project = ["mlflow", "run", str(ROOT), "-e", name, "--env-manager", "local", *given]
    return subprocess.run(
        [*project, "--experiment-name", "memreg"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_each_part_is_short():
    parts = {"mine.py", "squares.py", "bernoulli.py", "halves.py", "gradients.py", "parts.py"}
    assert set(FILES) == {*parts, "test_mine.py"}
    for name, code in FILES.items():
        assert len(code.strip().splitlines()) < 20, name


@pytest.fixture(scope="module")
def trained(here):
    """The document's commands but those that observe, in their order; CELL is the first cell that was
    trained."""
    for command in COMMANDS:
        if "CELL" in command:
            command = command.replace("CELL", Registry(uri(here)).cells("train")["cell"].iloc[0])
        process = mlflow_run(here, command)
        assert process.returncode == 0, process.stderr + process.stdout
    return Registry(uri(here))


def test_what_was_trained_is_known_by_its_code(trained, here, monkeypatch):
    monkeypatch.chdir(here)
    cells = trained.cells()
    assert len(cells) == 3
    by_model = {trained.cell(h).cell.recipe.model: trained.cell(h).cell for h in cells["cell"]}
    assert dict(by_model["mine:net"].code) == {"mine:net": digest("model", "mine:net")}
    (own,) = [c for c in map(trained.cell, cells["cell"]) if c.cell.design.kind == "named"]
    assert dict(own.cell.code) == {"bernoulli:choose": digest("design", "bernoulli:choose")}
    assert own.cell.dataset == "squares:load"
    assert 0.4 < own.members("included").included.mean() < 0.8
    (parts,) = [c for c in map(trained.cell, cells["cell"]) if c.cell.recipe.optimizer]
    assert set(dict(parts.cell.code)) == {"parts:noise", "parts:adam"}
    assert "learning_rate" not in parts._run.data.params
    assert parts.metrics["included_accuracy"] > 0.3


def test_scores_by_ones_own_estimator(trained):
    name = "scores-halves_estimate.parquet"
    stored = map(trained.cell, trained.cells()["cell"])
    scored = [cell.hash for cell in stored if name in cell.artifacts.names("", ".parquet")]
    assert len(scored) == 1
    own, usual = trained.scores(scored[0], "halves:estimate"), trained.scores(scored[0])
    assert abs(own["score"] - usual["score"]).max() < 0.2


def test_memreg_runs_them_in_the_directory_of_their_files(trained, here):
    """What the document says to paste; the cell is there already."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri(here)}
    process = subprocess.run(
        shlex.split(COMMANDS[0]), cwd=here, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert ", 0 to train" in process.stdout


def test_other_code_under_the_same_name_is_another_cell(trained, here):
    before = set(trained.cells()["cell"])
    (here / "mine.py").write_text(FILES["mine.py"].replace("32", "16"))
    process = mlflow_run(here, COMMANDS[0])
    assert process.returncode == 0, process.stderr
    (new,) = set(Registry(uri(here)).cells()["cell"]) - before
    assert new


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("def net(:", {"model": "wrong:net"}, "wrong.py: invalid syntax (wrong.py, line 1)"),
        ("1 / 0", {"model": "wrong:net"}, "its module raised ZeroDivisionError"),
        ("net = 3", {"model": "wrong:net"}, "is int, and not a function"),
        ("def net(a, b): return 3", {"model": "wrong:net"}, "returned int: it must return a torch.nn.Module"),
        ("def net(a, b): raise KeyError('x')", {"model": "wrong:net"}, "raised KeyError"),
        ("", {"model": "wrong:net"}, "has no attribute 'net'"),
        ("", {"model": "absent:net"}, "No module named 'absent'"),
        ("def make(p): return p", {"optimizer": "wrong:make"}, "must return a torch.optim.Optimizer"),
        ("def choose(n, s, m): return [1] * n", {"design": "wrong:choose"}, "must return a bool mask"),
        ("", {"optimizer": "adam"}, "must be package.module:function"),
        ("", {"augmentation": "strong"}, "must be a number from 0 to 4"),
        (
            "def f(x, g): return x[:1]",
            {"augmentation": "wrong:f"},
            "it must return torch.float32",
        ),
        ("def f(p): pass", {"optimizer": "wrong:f", "momentum": "0.5"}, "momentum: is for SGD"),
    ],
)
def test_what_is_wrong_with_a_part_is_one_line(tmp_path, monkeypatch, capsys, code, options, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    Path("wrong.py").write_text(code)
    given = {"dataset": "digits", "epochs": "1", "model": "vgg3-w4"} | options
    words = [word for key, value in given.items() for word in (f"--{key}", value)]
    bad_input(monkeypatch, capsys, train, *words, match=said)
    assert [p.name for p in tmp_path.glob("[!.]*")] == ["wrong.py"]


def test_code_of_a_stored_cell_runs_only_if_it_is_named_once_more(trained, here):
    cell = next(c for c in trained.cells()["cell"] if trained.cell(c).cell.recipe.model == "mine:net")
    base = f"memreg leave_one_out --cell {cell} --targets random:2 --members 2"
    (here / "mine.py").write_text(FILES["mine.py"])
    refused = mlflow_run(here, base)
    assert "name it yourself, by code=mine:net" in refused.stderr
    (here / "mine.py").write_text(FILES["mine.py"].replace("32", "17"))
    changed = mlflow_run(here, f"{base} --code mine:net --everything 2")
    assert "has changed since" in changed.stderr
    (here / "mine.py").write_text(FILES["mine.py"])
    assert mlflow_run(here, f"{base} --code mine:net --everything 2").returncode == 0


def test_a_worker_with_other_code_than_the_cell_was_planned_with_trains_nothing(here, monkeypatch):
    monkeypatch.chdir(here)
    (here / "edited.py").write_text(FILES["mine.py"])
    recipe = {"model": "edited:net", "epochs": 1, "batch_size": 32}
    grid = {"name": "g", "members": 1, "cells": [{"dataset": "digits+subset=50", **recipe}]}
    (item,) = resolve(parse_grid(grid, "g").cells)
    job = Job(item.cell, 0)
    datasets = {item.dataset.fingerprint: item.dataset}
    assert len(list(engine("local", Resources(workers=1)).run([job], datasets))) == 1
    (here / "edited.py").write_text(FILES["mine.py"].replace("32", "16"))
    for name in ("local", "ray") if find_spec("ray") else ("local",):
        with pytest.raises(MemregError, match="edited:net has changed since the study began"):
            list(engine(name, Resources(workers=1)).run([job], datasets))


def test_an_observer_looks_at_networks_and_a_proxy_of_it_is_judged(tmp_path):
    """CELL is a leave-one-out cell, with members on everything beside those that are traced."""
    (tmp_path / "gradients.py").write_text(FILES["gradients.py"])
    train, judge = TRACED
    process = mlflow_run(tmp_path, train)
    assert process.returncode == 0, process.stderr + process.stdout
    registry = Registry(uri(tmp_path))
    (cell,) = registry.cells("train")["cell"]
    lengths = registry.cell(cell).traces()["image_gradient"]
    assert lengths.shape[0] == 20
    assert lengths.shape[2] == 300
    assert (lengths > 0).mean() > 0.99
    everything = "--targets random:20 --members 2 --everything 40 --epochs 2 --batch-size 64"
    process = mlflow_run(tmp_path, f"memreg leave_one_out --cell digits+subset=100/vgg3-w4 {everything}")
    assert process.returncode == 0, process.stderr + process.stdout
    (loo,) = registry.cells().query("design == 'leave_one_out'")["cell"]
    process = mlflow_run(tmp_path, judge.replace("CELL", loo))
    assert process.returncode == 0, process.stderr + process.stdout
    (path,) = tmp_path.rglob("leaderboard.parquet")
    table = pd.read_parquet(path).set_index(["proxy", "networks"])
    assert set(table.index) == {
        (name, k) for name in ("gradients:proxy", "learning_time") for k in (1, 5, 20)
    }
    cost = table["cost"].unstack()
    assert (cost.loc["gradients:proxy"] > cost.loc["learning_time"]).all()


def test_a_search_space_and_a_grid_of_ones_own(here, monkeypatch):
    monkeypatch.chdir(here)
    space = load_space("parts:space")
    assert space.choices == {"model": ("vgg3-w4", "vgg3-w8")}
    assert set(space.ranges) == {"learning_rate"}
    (here / "grids.py").write_text(
        "CELL = {'dataset': 'digits', 'model': ['vgg3-w4', 'vgg3-w8']}\n"
        "def two(): return {'name': 'two', 'cells': [CELL]}\n"
    )
    assert [cell.recipe.model for cell in load_grid("grids:two").cells] == ["vgg3-w4", "vgg3-w8"]


def test_the_suites_pass_on_the_documents_parts(here, trained):
    (here / "mine.py").write_text(FILES["mine.py"])
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=here,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{here}:{ROOT}"},
    )
    assert process.returncode == 0, process.stdout
    assert " passed" in process.stdout
