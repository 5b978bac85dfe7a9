"""Where images lie while networks are trained on them. No GPU is needed: torch's fake tensors say on which
device they would be, and the little that touches a GPU is taken away."""

import weakref

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from memreg.data import load, memory

GIB = 2**30
CUDA = torch.device("cuda:0")
ORDER = torch.from_numpy(np.random.default_rng(0).integers(0, 300, 130))


@pytest.fixture
def digits(monkeypatch):
    monkeypatch.setattr(memory, "_held", None)
    return load("digits+subset=300")


@pytest.mark.parametrize(
    ("size", "free", "there"),
    [
        (150 * 2**20, 80 * GIB, True),  # CIFAR-10
        (16 * GIB, 80 * GIB, True),  # ImageNet at 64x64
        (16 * GIB, 24 * GIB, False),
        (140 * GIB, 80 * GIB, False),
        (1, 0, False),
    ],
)
def test_images_lie_on_a_gpu_where_they_take_a_quarter_of_what_is_free(size, free, there):
    assert memory.resident(size, free) is there


@pytest.mark.parametrize(("free", "there"), [(GIB, "cuda"), (1000, "cpu")])
def test_what_is_read_is_on_the_gpu_whether_the_images_are_or_not(digits, monkeypatch, free, there):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 2 * GIB))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        parts = list(memory.read(digits, ORDER, 64, CUDA))
        assert memory.train_images(digits, CUDA).device.type == there
    assert [part.device for part in parts] == [CUDA] * 3
    assert [tuple(part.shape) for part in parts] == [(64, 8, 8, 1), (64, 8, 8, 1), (2, 8, 8, 1)]
    assert {part.dtype for part in parts} == {torch.uint8}


def test_what_is_sent_is_what_lies_on_the_host(digits, monkeypatch):
    asked, empty = [], torch.empty

    def unpinned(*arguments, pin_memory, **named):
        asked.append(pin_memory)
        return empty(*arguments, **named)

    monkeypatch.setattr(torch, "empty", unpinned)  # pinning needs a driver of CUDA
    images = memory.tensor(digits.train_images)
    sent = memory._sent(images, ORDER, torch.device("cpu"))
    assert asked == [True]
    assert torch.equal(sent, images[ORDER])


def test_on_a_cpu_images_are_read_where_they_are(digits):
    images = memory.train_images(digits, torch.device("cpu"))
    assert images.data_ptr() == digits.train_images.ctypes.data
    found = torch.cat(list(memory.read(digits, ORDER, 64, torch.device("cpu"))))
    assert np.array_equal(found.numpy(), digits.train_images[ORDER.numpy()])


def test_images_of_another_data_set_are_let_go_before_the_next_are_copied(digits, monkeypatch):
    meta, place, left = torch.device("meta"), memory._placed, []
    first = weakref.ref(memory.train_images(digits, meta))
    assert memory.train_images(digits, meta) is first()

    def placed(images, device):
        left.append(first())
        return place(images, device)

    monkeypatch.setattr(memory, "_placed", placed)
    memory.train_images(load("digits+subset=200"), meta)
    assert left == [None]
