import pytest
import torch
import torch.nn.functional as F
from torch import nn

from memreg import models
from memreg.data import load
from memreg.data.augmentation import apply, side_by_side
from memreg.data.batches import scale
from memreg.data.memory import tensor
from memreg.errors import MemregError
from memreg.models.stacked import can_be_stacked, stacked
from memreg.recipe import Recipe
from memreg.static_step import StaticStep
from memreg.training import augmentation_of, batch_order

NAMES = ["vgg3-w4", "vgg3-w16", "resnet8-w4", "resnet8-w8"]
STEPS, BATCH = 6, 32


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=200")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(name, seed, image_shape=(1, 8, 8)):
    torch.manual_seed(seed)
    return models.build(name, image_shape, 10).to(memory_format=torch.channels_last)


def state(network):
    return [*network.parameters(), *network.buffers()]


def trained(name, seeds, dataset, steps=STEPS, spoiled=()):
    """Weights and buffers of the networks of these seeds, trained in one stack: a list for each seed."""
    recipe = Recipe(model=name, epochs=1, batch_size=BATCH, learning_rate=0.1)
    networks = [network(name, seed) for seed in seeds]
    orders, draws = zip(*(given(recipe, dataset, seed) for seed in seeds), strict=True)
    step = StaticStep(
        stacked(networks[0], len(seeds)),
        recipe,
        tensor(dataset.train_images),
        tensor(dataset.train_labels),
        steps=STEPS,
        networks=len(seeds),
    )
    states = [[t.detach().clone() for t in state(n)] for n in networks]
    for seed, own in zip(seeds, states, strict=True):
        if seed in spoiled:
            own[0].fill_(torch.inf)
    step.load(
        [torch.stack(same) for same in zip(*states, strict=True)],
        torch.cat(orders, 1),
        side_by_side(draws, STEPS),
    )
    for _ in range(steps):
        step()
    return [[t[i] for t in step.state] for i in range(len(seeds))]


def given(recipe, dataset, seed):
    generator = torch.Generator().manual_seed(seed)
    order = batch_order(torch.arange(dataset.n_train), STEPS, BATCH, generator)
    return order, augmentation_of(recipe, dataset, order.numel(), generator)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_statistics_are_those_of_each_network_alone(name, dtype, tolerance):
    networks = [network(name, seed).to(dtype).train() for seed in range(3)]
    stack = stacked(networks[0], 3).train()
    with torch.no_grad():
        for mine, *theirs in zip(state(stack), *map(state, networks), strict=True):
            mine.copy_(torch.stack(theirs))
    torch.manual_seed(10)  # with some, a value a rounding away from zero falls to the other side of a ReLU
    images = torch.randn(3, BATCH, 1, 8, 8, dtype=dtype)
    labels = torch.randint(10, (3, BATCH))
    loss = F.cross_entropy(stack(images.flatten(0, 1)), labels.flatten()) * 3
    gradients = torch.autograd.grad(loss, list(stack.parameters()))
    for i, alone in enumerate(networks):
        own = torch.autograd.grad(F.cross_entropy(alone(images[i]), labels[i]), list(alone.parameters()))
        for a, b in zip(gradients, own, strict=True):
            assert (a[i] - b).abs().max() <= tolerance * max(1, b.abs().max())
        for a, b in zip(stack.buffers(), alone.buffers(), strict=True):
            assert (a[i] - b).abs().max() <= tolerance * max(1, b.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_a_member_does_not_depend_on_who_shares_its_stack(name, digits):
    """Nor on its place there, nor on how many there are."""
    four = trained(name, [1, 2, 3, 4], digits)
    moved = trained(name, [3, 1, 4, 2], digits)
    more = trained(name, [7, 8, 1, 9, 2, 3, 4, 5], digits)
    for mine, other, third in zip(
        four, [moved[1], moved[3], moved[0], moved[2]], [*more[2:3], *more[4:7]], strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(mine, third, strict=True))


def test_a_neighbour_that_diverges_changes_nothing(digits):
    sound, spoiled = trained("vgg3-w4", [1, 2, 3], digits), trained("vgg3-w4", [1, 2, 3], digits, spoiled=[2])
    assert not spoiled[1][0].isfinite().any()
    for i in (0, 2):
        assert all(torch.equal(a, b) for a, b in zip(sound[i], spoiled[i], strict=True))


def test_each_member_of_a_stack_sees_its_own_batches(digits, monkeypatch):
    seen = []
    monkeypatch.setattr("memreg.static_step.scale", lambda images: seen.append(images) or scale(images))
    trained("vgg3-w4", [5, 6], digits)
    for i, seed in enumerate([5, 6]):
        order, draws = given(Recipe(model="vgg3-w4", epochs=1, batch_size=BATCH), digits, seed)
        for step, images in enumerate(seen):
            own = draws.each(lambda d, step=step: d.view(STEPS, BATCH)[step])
            expected = apply(tensor(digits.train_images)[order[step]], own)
            assert torch.equal(images[i * BATCH : (i + 1) * BATCH], expected)


@pytest.mark.parametrize("name", ["vit-micro", "timm:convnext_atto"])
def test_what_cannot_be_stacked_says_so(name):
    with pytest.raises(MemregError, match="cannot be stacked"):
        stacked(network(name, 0, (3, 32, 32)), 2)


class Activated(nn.BatchNorm2d):
    """As timm's: the activation is part of the normalisation."""

    def forward(self, images):
        return F.relu(super().forward(images))


class Own(nn.Module):
    """A network of 8x8 images with this normalisation; `mixed`: all images have a say in what each gives."""

    def __init__(self, norm=nn.BatchNorm2d, mixed=False, bias=True):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), norm(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head, self.mixed = nn.Linear(4, 10, bias=bias), mixed

    def forward(self, images):
        features = self.body(images)
        return self.head(features / features.amax() if self.mixed else features)


@pytest.mark.parametrize(
    ("made", "can"),
    [
        *((lambda name=name: network(name, 0), True) for name in NAMES),
        (Own, True),
        (lambda: Own(Activated), False),
        (lambda: Own(nn.InstanceNorm2d), False),
        (lambda: Own(lambda n: nn.BatchNorm2d(n, affine=False)), False),
        (lambda: Own(lambda n: nn.BatchNorm2d(n, momentum=None)), False),
        (lambda: Own(bias=False), False),
        (lambda: Own(mixed=True), False),
        (lambda: models.build("timm:darknet17", (1, 8, 8), 10), False),
    ],
)
def test_only_what_is_the_same_in_a_stack_is_stacked(made, can):
    torch.manual_seed(0)
    assert can_be_stacked(made(), (1, 8, 8)) is can
