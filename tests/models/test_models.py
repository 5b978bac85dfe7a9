from itertools import pairwise

import numpy as np
import pytest
import timm
import torch
import torchvision
from sklearn.datasets import load_digits
from torch.nn import functional as F

from memreg import models
from memreg.errors import MemregError

PAPER = ["vgg6", "vgg0.5m", "vgg1m", "vgg8m", "vgg20m", "resnet18", "resnet50"]
PAPER += ["vit-tiny", "vit-small"]
VGG_SMALL = ["vgg3-w4", "vgg3-w8", "vgg3-w16", "vgg3-w32"]
RESNET_SMALL = ["resnet8-w4", "resnet8-w8", "resnet8-w16"]
VIT_SMALL = ["vit-micro", "vit-mini"]
SMALL = VGG_SMALL + RESNET_SMALL + VIT_SMALL
NARROW = ["vgg6-w16", "vgg6-w32"]


@pytest.fixture(autouse=True)
def _one_thread_one_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def trains(model, image_shape, classes, bf16):
    """One step of SGD, after which every parameter has moved."""
    model.train().to(memory_format=torch.channels_last)
    images = torch.randn(2, *image_shape).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, weight_decay=1e-3)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(images)
    assert logits.shape == (2, classes)
    loss = F.cross_entropy(logits.float(), torch.tensor([0, classes - 1]))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    optimizer.step()
    return bool(loss.isfinite())


@pytest.mark.parametrize(
    ("image_shape", "classes"), [((3, 32, 32), 10), ((3, 32, 32), 100), ((3, 64, 64), 200)]
)
@pytest.mark.parametrize("name", PAPER)
def test_the_papers_models_train_on_the_papers_images(name, image_shape, classes):
    model = models.build(name, image_shape, classes)
    assert trains(model, image_shape, classes, bf16=False)
    assert trains(model, image_shape, classes, bf16=True)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_models_take_large_images(name):
    model = models.build(name, (3, 224, 224), 10).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(1, 3, 224, 224)).shape == (1, 10)


@pytest.mark.parametrize("name", SMALL)
def test_small_models_train_on_digits_in_bf16_too(name):
    assert trains(models.build(name, (1, 8, 8), 10), (1, 8, 8), 10, bf16=True)


@pytest.mark.parametrize("name", NARROW + SMALL)
def test_small_models_train_on_larger_images(name):
    assert trains(models.build(name, (3, 32, 32), 10), (3, 32, 32), 10, bf16=False)


def test_names_are_all_of_them():
    assert set(models.names()) == {*PAPER, *NARROW, *SMALL}


def test_vgg6_has_the_weights_of_the_appendix():
    model = models.build("vgg6", (3, 32, 32), 10)
    weights = [p for p in model.parameters() if p.ndim > 1]
    assert [tuple(w.shape[:2]) for w in weights] == [
        *[(64, 3), (64, 64), (64, 64), (64, 64), (512, 64)],
        (10, 512),
    ]
    assert sum(w.numel() for w in weights) == 412_352


@pytest.mark.parametrize(
    ("name", "count"), [("vgg0.5m", 0.5e6), ("vgg1m", 1e6), ("vgg8m", 8e6), ("vgg20m", 20e6)]
)
def test_a_vgg_has_the_parameters_of_its_name(name, count):
    assert models.parameters(models.build(name, (3, 32, 32), 10)) == pytest.approx(count, rel=0.05)


@pytest.mark.parametrize("family", [VGG_SMALL, RESNET_SMALL, VIT_SMALL])
def test_small_families_span_capacities(family):
    counts = [models.parameters(models.build(name, (1, 8, 8), 10)) for name in family]
    assert all(2 * less < more for less, more in pairwise(counts))


def test_parameters_counts_what_is_trained():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model[0].bias.requires_grad_(False)
    assert models.parameters(model) == 6 + 4


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnets_are_torchvisions_on_large_images(name):
    ours, theirs = models.build(name, (3, 128, 128), 7), getattr(torchvision.models, name)()
    theirs.fc = torch.nn.Linear(theirs.fc.in_features, 7)
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("side", [32, 64, 96])
def test_resnets_keep_small_images_whole_in_the_stem(side):
    stem = models.build("resnet18", (3, side, side), 10)[:3]
    assert stem(torch.randn(1, 3, side, side)).shape == (1, 64, side, side)


@pytest.mark.parametrize(
    ("name", "height", "width", "patch"),
    [
        ("vit-tiny", 8, 8, 1),
        ("vit-tiny", 28, 28, 2),
        ("vit-tiny", 32, 32, 4),
        ("vit-tiny", 32, 48, 4),
        ("vit-tiny", 64, 64, 8),
        ("vit-small", 224, 224, 16),
        ("vit-micro", 8, 8, 4),
        ("vit-mini", 8, 8, 4),
    ],
)
def test_patches_fit_the_image(name, height, width, patch):
    model = models.build(name, (3, height, width), 10)
    assert model.patch_embed.patch_size == (patch, patch)
    assert model.pos_embed.shape[1] == height * width / patch**2


@pytest.mark.parametrize("name", [*SMALL, "timm:test_vit"])
def test_weights_follow_from_torchs_seed_alone(name):
    def weights(seed):
        torch.manual_seed(seed)
        parameters = models.build(name, (1, 32, 32), 10).parameters()
        return torch.nn.utils.parameters_to_vector(parameters)

    first = weights(1)
    np.random.seed(1)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


@pytest.mark.parametrize("name", SMALL)
def test_small_models_learn_digits(name):
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    model = models.build(name, (1, 8, 8), 10).to(memory_format=torch.channels_last)
    epochs, steps = 15, 1300 // 100
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=epochs * steps)
    for _ in range(epochs):
        for batch in torch.randperm(1300).split(100):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        predicted = model.eval()(images[1300:]).argmax(1)
    assert (predicted == labels[1300:]).float().mean() > 0.85


@pytest.mark.parametrize(
    ("name", "image_shape"),
    [
        ("timm:test_resnet", (1, 32, 32)),
        ("timm:test_vit", (3, 32, 32)),
        ("timm:test_vit", (3, 32, 64)),
        ("timm:resnet18", (1, 16, 16)),
    ],
)
def test_any_of_timms_models_by_name(name, image_shape):
    assert trains(models.build(name, image_shape, 10), image_shape, 10, bf16=True)


def test_trying_one_of_timms_models_does_not_touch_its_weights():
    torch.manual_seed(1)
    ours = models.build("timm:test_resnet", (3, 32, 32), 10)
    torch.manual_seed(1)
    theirs = timm.create_model("test_resnet", num_classes=10)
    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(our, their)


@pytest.mark.parametrize(
    ("name", "image_shape", "message"),
    [
        (
            "vgg7",
            (3, 32, 32),
            "no model is named 'vgg7': did you mean vgg6. models are vgg3-w4, .*, timm:NAME",
        ),
        ("!", (3, 32, 32), "no model is named '!': models are vgg3-w4, .*, timm:NAME"),
        ("vgg6", (3, 31, 32), "vgg6 halves .* 5 times: it takes 32x32 and larger, not 31x32"),
        ("vgg3-w8", (1, 8, 7), "vgg3-w8 halves .* 3 times: it takes 8x8 and larger, not 8x7"),
        ("vit-tiny", (3, 37, 37), "vit-tiny .* more than 1 and at most 14 a side, .* not 37x37"),
        ("vit-mini", (1, 8, 32), "vit-mini .* more than 1 and at most 2 a side, .* not 8x32"),
        ("timm:resnet19", (3, 32, 32), r"named 'timm:resnet19': did you mean timm:resnet18"),
        ("timm:resnet18.a1_in1k", (3, 32, 32), "no model is named .* without the tags"),
        ("timm:hf-hub:timm/resnet18", (3, 32, 32), "no model is named 'timm:hf-hub:"),
        ("timm:test_vit", (3, 8, 8), "timm:test_vit is made for 3x160x160 images and cannot take"),
        ("timm:botnet26t_256", (3, 8, 8), "botnet26t_256 is made for 3x256x256 .* take 3x8x8: "),
        ("timm:qwen3_vit_88m_enc", (3, 64, 64), "not one logit per class"),
    ],
)
def test_refusals_are_one_line_that_says_what_is_right(name, image_shape, message):
    with pytest.raises(MemregError, match=message) as refusal:
        models.build(name, image_shape, 10)
    assert "\n" not in str(refusal.value)
