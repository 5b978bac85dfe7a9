import pytest
import torch
import torch.nn.functional as F

from memreg.models import convolution
from memreg.models.convolution import Convolution


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def both(module, shape, dtype=torch.float64):
    """(output, gradient of the images, gradient of the weight), ours and torch's."""
    images = torch.randn(shape, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    theirs = F.conv2d(images, module.weight, padding=1)
    theirs = F.max_pool2d(theirs, 2) if module.pooled else theirs
    ours = module(images)
    weights = torch.randn_like(theirs)
    return [(y, *torch.autograd.grad(y, (images, module.weight), weights)) for y in (ours, theirs)]


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("wide", [0, 10**9])
@pytest.mark.parametrize("cached", [0, 4000, 2**30])
@pytest.mark.parametrize("shape", [(7, 3, 8, 8), (7, 3, 9, 11), (7, 3, 10, 3), (7, 4, 2, 2), (1, 3, 6, 6)])
def test_every_way_is_torchs_convolution_and_pooling(monkeypatch, shape, cached, wide, pooled):
    monkeypatch.setattr(convolution, "CACHED", cached)
    monkeypatch.setattr(convolution, "WIDE", wide)
    module = Convolution(shape[1], 5, pooled).double()
    for ours, theirs in zip(*both(module, shape), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("side", [2, 12])
def test_bf16_by_autocast_is_torchs_within_its_precision(monkeypatch, side):
    monkeypatch.setattr(convolution, "CACHED", 0)
    monkeypatch.setattr(convolution, "WIDE", 0)
    module = Convolution(16, 32, pooled=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = both(module, (64, 16, side, side), torch.float32)
    assert ours[0].dtype == torch.bfloat16
    assert ours[2].dtype == torch.float32
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() < 0.03 * b.norm()


def test_of_equal_values_one_has_the_gradient_as_in_torch(monkeypatch):
    monkeypatch.setattr(convolution, "CACHED", 0)
    module = Convolution(1, 1, pooled=True)
    torch.nn.init.zeros_(module.weight)
    images = torch.ones(1, 1, 4, 4, requires_grad=True)
    weight = torch.autograd.grad(module(images).sum(), module.weight)[0]
    theirs = F.max_pool2d(F.conv2d(images, module.weight, padding=1), 2)
    assert torch.equal(weight, torch.autograd.grad(theirs.sum(), module.weight)[0])


def test_what_diverged_stays_so(monkeypatch):
    monkeypatch.setattr(convolution, "CACHED", 0)
    images = torch.ones(1, 1, 4, 4)
    images[0, 0, 0, 0] = float("nan")
    assert Convolution(1, 1, pooled=True)(images)[0, 0, 0, 0].isnan()
