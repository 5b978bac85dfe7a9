import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from memreg.data import load
from memreg.data.augmentation import Draws
from memreg.data.memory import tensor
from memreg.models import build
from memreg.recipe import Recipe
from memreg.static_step import StaticStep
from memreg.training import Steps, augmentation_of, batch_order, fit, new_model

LARGE = ["vgg6", "resnet18", "resnet50", "vit-tiny", "timm:resnet18", "timm:vit_tiny_patch16_224"]
FAMILIES = ["vgg3-w4", "resnet8-w4", "vit-micro", "timm:convnext_atto"]


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=200")


def recipe(**changes):
    return Recipe(**{"model": "vgg3-w4", "epochs": 2, "batch_size": 32, "learning_rate": 0.1, **changes})


def member(recipe, dataset, seed, steps=8):
    """What a member begins with: its network, the order of its batches and its draws."""
    torch.manual_seed(seed)
    network = new_model(recipe, dataset, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    order = batch_order(torch.arange(seed, dataset.n_train), steps, recipe.batch_size, generator)
    draws = augmentation_of(recipe, dataset, order.numel(), generator)
    return network, order, draws


def static(recipe, dataset, network, steps=8):
    images, labels = tensor(dataset.train_images), tensor(dataset.train_labels)
    return StaticStep(network, recipe, images, labels, steps)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_of_static_tensors_gives_the_bits_of_fit(name, precision, digits):
    """For one member after another, whatever the one before it left behind."""
    dataset = load("digits+subset=100+size=32") if name.startswith("timm") else digits
    asked = recipe(model=name, precision=precision)
    step = static(asked, dataset, member(asked, dataset, 99)[0])
    for seed in (0, 1):
        network, order, draws = member(asked, dataset, seed)
        state = [t.clone() for t in (*network.parameters(), *network.buffers())]
        step.load(state, order, draws)
        for _ in range(len(order)):
            step()
        fit(network, asked, dataset, Steps(order, draws), {})
        for mine, fitted in zip(step.state, (*network.parameters(), *network.buffers()), strict=True):
            assert torch.equal(mine, fitted)


@pytest.mark.parametrize("changes", [{"momentum": 0.0}, {"augmentation": 0.0}, {"warmup": 0.0}])
def test_so_it_does_without_momentum_augmentation_or_warmup(changes, digits):
    asked = recipe(**changes)
    network, order, draws = member(asked, digits, 0)
    step = static(asked, digits, member(asked, digits, 1)[0])
    step.load([t.clone() for t in (*network.parameters(), *network.buffers())], order, draws)
    for _ in range(len(order)):
        step()
    fit(network, asked, digits, Steps(order, draws), {})
    assert all(
        torch.equal(a, b)
        for a, b in zip(step.state, (*network.parameters(), *network.buffers()), strict=True)
    )


def test_every_tensor_keeps_its_place(digits):
    asked = recipe()
    network, order, draws = member(asked, digits, 0)
    step = static(asked, digits, network)
    step.load([t.clone() for t in step.state], order, draws)
    places = [t.data_ptr() for t in step.state]
    step()
    step.load([t.clone() for t in step.state], order.flip(0), draws)
    step()
    assert [t.data_ptr() for t in step.state] == places


@pytest.fixture(scope="module")
def _fused_sgd_of_shapes():
    """torch has fused SGD with a rate in a tensor for CPUs and CUDA, but not for tensors without values."""
    library = torch.library.Library("aten", "IMPL")

    def step(weights, gradients, velocities, *_, lr, **__):
        for weight, gradient, velocity in zip(weights, gradients, velocities, strict=True):
            assert weight.device == gradient.device == velocity.device == lr.device
            assert weight.stride() == gradient.stride() == velocity.stride()

    library.impl("_fused_sgd_.tensor_lr", step, "Meta")
    yield
    library._destroy()


def asked_and_shapes(name, precision):
    side, channels = (8, 1) if name in FAMILIES[:3] else (32, 3)
    return recipe(model=name, batch_size=16, precision=precision), (channels, side, side)


def a_step_of(network, asked, image_shape, device):
    """The first two steps of a network whose tensors have no values."""
    channels, *sides = image_shape
    images = torch.empty(100, *sides, channels, dtype=torch.uint8, device=device)
    step = StaticStep(network, asked, images, torch.empty(100, dtype=torch.int64, device=device), 8)
    shifts, mirrored = torch.zeros(8 * 16, dtype=torch.uint8), torch.zeros(8 * 16, dtype=torch.bool)
    begun = [torch.empty_like(tensor, device="cpu") for tensor in step.state]
    step.load(begun, torch.zeros(8, 16, dtype=torch.int64), Draws(shifts, shifts, mirrored, 1))
    step()
    step()
    return step


@pytest.mark.usefixtures("_fused_sgd_of_shapes")
@pytest.mark.parametrize("name", [*FAMILIES, *LARGE])
def test_the_step_of_every_family_asks_for_no_value(name):
    """On the meta device, which has none, forward, backward and SGD go through."""
    asked, image_shape = asked_and_shapes(name, "float32")
    with torch.device("meta"):
        network = build(name, image_shape, 10).to(memory_format=torch.channels_last)
    assert a_step_of(network, asked, image_shape, "meta").state[0].is_meta


@pytest.mark.usefixtures("_fused_sgd_of_shapes")
@pytest.mark.parametrize("name", [*FAMILIES, *LARGE])
def test_so_does_fit(name):
    asked, image_shape = asked_and_shapes(name, "float32")
    dataset = load("digits+subset=100" if image_shape[1] == 8 else "digits+subset=100+size=32")
    with torch.device("meta"):
        network = build(name, dataset.image_shape, 10).to(memory_format=torch.channels_last)
    order = batch_order(torch.arange(100), 3, 16, torch.Generator().manual_seed(0))
    draws = augmentation_of(asked, dataset, order.numel(), torch.Generator().manual_seed(0))
    fit(network, asked, dataset, Steps(order, draws), {})
    assert next(network.parameters()).is_meta


@pytest.mark.usefixtures("_fused_sgd_of_shapes")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", [*FAMILIES, *LARGE])
def test_on_cuda_the_step_waits_for_no_value_and_mixes_no_devices(name, precision, monkeypatch):
    """Torch's fake tensors claim to be on a GPU. The backward pass needs one, and is left out."""
    asked, image_shape = asked_and_shapes(name, precision)
    network = build(name, image_shape, 10).to(memory_format=torch.channels_last)
    monkeypatch.setattr(torch.autograd, "grad", lambda loss, weights: [torch.empty_like(w) for w in weights])
    with FakeTensorMode():
        for part in network.modules():
            for own in (part._parameters, part._buffers):
                for key, tensor in own.items():
                    if tensor is not None:
                        claimed = torch.empty_strided(
                            tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda"
                        )
                        own[key] = torch.nn.Parameter(claimed) if own is part._parameters else claimed
        assert a_step_of(network, asked, image_shape, "cuda").state[0].is_cuda


@pytest.mark.usefixtures("_fused_sgd_of_shapes")
def test_a_network_that_asks_for_a_value_is_found_so():
    class Asks(torch.nn.Linear):
        def forward(self, images):
            return super().forward(images.flatten(1)) * (1 if images.sum() > 0 else 2)

    asked, image_shape = asked_and_shapes("vgg3-w4", "float32")
    with torch.device("meta"):
        network = Asks(64, 10)
    with pytest.raises(RuntimeError, match="meta tensors"):
        a_step_of(network, asked, image_shape, "meta")
