"""Models that crash in one memory format are trained in the other, found before a study is opened."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from memreg import models
from memreg.data.dataset import Dataset
from memreg.engines import trial
from memreg.errors import MemregError
from memreg.models.trial import memory_format
from memreg.recipe import Recipe
from memreg.training import train_member

SHAPE = (3, 8, 8)


class ByView(nn.Module):
    """As architectures do that were written for contiguous images."""

    def __init__(self, classes: int, fits: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 64 if fits else 5, classes)

    def forward(self, x):
        x = self.conv(x)
        return self.head(x.view(len(x), -1))


@pytest.fixture
def made(monkeypatch):
    """Models by name in place of timm's."""
    known = {"timm:view": lambda n: ByView(n), "timm:never": lambda n: ByView(n, fits=False)}
    memory_format.cache_clear()
    build = models.build
    monkeypatch.setattr(
        models, "build", lambda name, *a: known[name](a[1]) if name in known else build(name, *a)
    )
    yield
    memory_format.cache_clear()


def test_formats_are_tried_without_touching_the_random_stream(made):
    torch.manual_seed(0)
    assert memory_format("timm:view", SHAPE, 5) == torch.contiguous_format
    assert memory_format("timm:resnet18", (3, 32, 32), 5) == torch.channels_last
    assert memory_format("vgg3-w8", (1, 8, 8), 5) == torch.channels_last
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(1))
    with pytest.raises(MemregError, match="timm:never cannot be trained on 3x8x8 images"):
        memory_format("timm:never", SHAPE, 5)


def test_a_model_that_needs_contiguous_images_is_trained(made):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    labels = np.arange(6) % 2
    dataset = Dataset("x", images, labels, images, labels, 2, False)
    recipe = Recipe(model="timm:view", epochs=1, batch_size=2)
    assert train_member(recipe, dataset, np.ones(6, bool), 0).predicted.shape == (12,)


def test_a_model_that_kills_its_process_is_refused(monkeypatch):
    process = trial.server.context.Process

    def kills(target, args):
        return process(target=os.abort)

    monkeypatch.setattr(trial.server.context, "Process", kills, raising=False)
    with pytest.raises(MemregError, match=r"crashes on 3x8x8 images: .* killed by SIGABRT"):
        trial.try_model("timm:any", SHAPE, 5)
