"""bf16 where the CPU is slow at it: found, said before training and in a plan, and in no grid for CPUs."""

import platform

import pytest
import torch
from studies import program, run, tiny

from memreg import precision
from memreg.cli import memreg
from memreg.grid import load_grid
from memreg.precision import cpu_bf16, slow_bf16
from memreg.recipe import Recipe

BF16, FLOAT32 = Recipe(model="vgg3-w4", precision="bf16"), Recipe(model="vgg3-w4")
SLOW = "VGG-6 took 10 times as long as in float32"
CELL = {"dataset": "digits+subset=100", "epochs": 1, "model": "vgg3-w4", "precision": "bf16"}


@pytest.fixture
def cpu(monkeypatch):
    """A function that gives this process another CPU, by what it has for bf16."""
    return lambda found: monkeypatch.setattr(precision, "cpu_bf16", lambda: found)


@pytest.mark.parametrize(
    ("machine", "taken", "avx512_bf16", "found"),
    [
        ("x86_64", True, True, "instructions"),
        ("AMD64", True, False, "emulated"),
        ("x86_64", False, False, "none"),
        ("aarch64", True, False, "instructions"),
        ("aarch64", False, False, "none"),
    ],
)
def test_what_the_cpu_has_as_torch_sees_it(monkeypatch, machine, taken, avx512_bf16, found):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: taken)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert cpu_bf16() == found


def test_torch_can_be_asked_here():
    assert cpu_bf16() in ("instructions", "emulated", "none")


def test_only_bf16_on_a_slow_cpu_is_warned_of(cpu):
    cpu("none")
    assert SLOW in slow_bf16([FLOAT32, BF16], "cpu")
    assert slow_bf16([FLOAT32], "cpu") == slow_bf16([BF16], "cuda") == slow_bf16([], "cpu") == ""
    cpu("emulated")
    assert "2.3 times as long" in slow_bf16([BF16], "cpu")
    cpu("instructions")
    assert slow_bf16([BF16], "cpu") == ""


def test_a_study_warns_once_before_it_trains(cpu, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cpu("none")
    grid = tiny(members=1, cells=[CELL, {**CELL, "augmentation": 0}])
    run(grid, tmp_path, workers=1)
    said = capsys.readouterr().out
    assert said.count(SLOW) == 1
    assert said.index(SLOW) < said.index("[1/2]")
    run(grid, tmp_path, workers=1)
    assert SLOW not in capsys.readouterr().out  # nothing is left to train
    cpu("instructions")
    run(tiny(members=2, cells=[CELL]), tmp_path, workers=1)
    assert SLOW not in capsys.readouterr().out


@pytest.mark.parametrize(("found", "warned"), [("none", True), ("instructions", False)])
def test_a_plan_says_it_too(cpu, tmp_path, monkeypatch, capsys, found, warned):
    cpu(found)
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndescription: One cell.\nmembers: 1\ncells:\n  - dataset: digits\n    model: vgg3-w4\n"
        "    epochs: 1\n    batch_size: 64\n    precision: bf16\n"
    )
    said = program(monkeypatch, capsys, memreg, "plan", "--grid", str(path), "--device", "cpu")
    assert (SLOW in said) == warned


@pytest.mark.parametrize("name", ["digits", "smoke", "cifar10-small"])
def test_shipped_grids_for_cpus_take_float32(name):
    assert {cell.recipe.precision for cell in load_grid(name).cells} == {"float32"}
