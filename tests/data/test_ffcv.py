"""The FFCV loader against the memory loader."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from parts import ROOT, needs
from studies import TINY, same_bits, uri

from memreg.data import Dataset, augmentation, load
from memreg.data.batches import batches, scale
from memreg.data.sharing import mapped_file
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.registry import Registry
from memreg.training import Setting, Steps, batch_order, fit, new_model, train_member


@pytest.fixture(scope="module", autouse=True)
def _ffcv():
    needs("ffcv")


@pytest.fixture(scope="module", params=["digits", "cifar10+subset=500"])
def dataset(request):
    directory = None if request.param == "digits" else request.getfixturevalue("cifar10_dir")
    return load(request.param, directory)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_batches_are_those_of_the_memory_loader(dataset, strength):
    torch.set_num_threads(2)
    order = batch_order(torch.arange(dataset.n_train), 30, 64, torch.Generator().manual_seed(0))
    side = min(dataset.image_shape[1:])
    generator = torch.Generator().manual_seed(1)
    draws = augmentation.draw(order.numel(), side, strength, dataset.flip, generator)
    device = torch.device("cpu")
    both = (batches(dataset, order, draws, device, loader) for loader in ("memory", "ffcv"))
    for (x, y), (x1, y1) in zip(*both, strict=True):
        assert torch.equal(x, x1)
        assert torch.equal(y, y1)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_networks_are_those_of_the_memory_loader(dataset, strength):
    torch.set_num_threads(1)
    model = "vgg3-w8" if dataset.image_shape[1] == 8 else "vgg6-w16"
    recipe = Recipe(model=model, epochs=1, batch_size=64, learning_rate=0.1, augmentation=strength)
    included = np.arange(dataset.n_train) % 3 > 0
    a, b = (
        train_member(recipe, dataset, included, 1, setting=Setting(loader=loader))
        for loader in ("memory", "ffcv")
    )
    assert (a.margin == b.margin).all()
    assert (a.predicted == b.predicted).all()


def test_weights_after_an_epoch_of_the_whole_set_are_those_of_the_memory_loader(cifar10_dir):
    from memreg.data.beton import beton

    torch.set_num_threads(2)
    dataset = load("cifar10", cifar10_dir)
    recipe = Recipe(model="vgg6-w16", epochs=1, batch_size=512, learning_rate=0.1, augmentation=0)
    order = batch_order(torch.arange(50_000), 98, 512, torch.Generator().manual_seed(0))
    weights = []
    for loader in ("memory", "ffcv"):
        torch.manual_seed(0)
        model = new_model(recipe, dataset, torch.device("cpu"))
        fit(model, recipe, dataset, Steps(order, None, loader), {})
        weights.append(model.state_dict())
    assert beton(dataset).parent == mapped_file(dataset.train_images).parent
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_images_that_have_changed_under_the_same_name_are_read_anew(tmp_path):
    path, device = tmp_path / "images.npy", torch.device("cpu")
    labels = np.arange(64) % 2
    for value in (10, 200):
        np.save(path, np.full((64, 8, 8, 1), value, np.uint8))
        images = np.load(path, mmap_mode="r")
        dataset = Dataset("x", images, labels, images, labels, 2, False)
        ((x, _),) = batches(dataset, torch.arange(64)[None], None, device, "ffcv")
        assert torch.equal(x, scale(torch.from_numpy(np.array(images))))


def test_members_of_a_study_are_those_of_the_memory_loader(tmp_path, monkeypatch, done):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "cells": TINY["cells"][:1]}))
    command = [sys.executable, "-m", "entrypoints.corr_grid", "--grid", "tiny.yaml", "--loader", "ffcv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    (cell,) = Registry(uri(tmp_path)).cells()["cell"]
    same_bits(Registry(uri(tmp_path)).predictions(cell), Registry(uri(done[0])).predictions(cell))
    assert "leaked" not in process.stderr


def test_a_reader_that_fails_is_an_error_and_no_hang(monkeypatch):
    from memreg.data import ffcv_loader

    def fail(*_):
        raise RuntimeError("no disk")

    monkeypatch.setattr(ffcv_loader._Reader, "run_pipeline", fail)
    digits = load("digits")
    with pytest.raises(MemregError, match=r"cannot read .*no disk"):
        list(batches(digits, torch.arange(64)[None], None, torch.device("cpu"), "ffcv"))


def test_a_damaged_file_is_written_anew():
    from memreg.data.beton import beton

    digits = load("digits")
    path = beton(digits)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert beton(digits).read_bytes() == whole
