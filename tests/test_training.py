import numpy as np
import pytest
import torch

from memreg import training
from memreg.data import augmentation, load
from memreg.data.batches import batches, scale
from memreg.errors import MemregError
from memreg.margins import probability
from memreg.members import no_class
from memreg.models.narrow import NarrowConvolutionsRefused
from memreg.recipe import Recipe
from memreg.sgd import same_layout, triangle
from memreg.training import Setting, batch_order, train_member


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=300")


def recipe(**changes):
    return Recipe(**{"model": "vgg3-w8", "epochs": 3, "batch_size": 64, "learning_rate": 0.2} | changes)


def half(n, seed=0):
    return np.random.default_rng(seed).random(n) < 0.5


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_same_seed_same_bits_and_other_seed_other_network(digits, precision):
    torch.set_num_threads(1)
    r, included = recipe(precision=precision), half(300)
    a, b = (train_member(r, digits, included, 5) for _ in range(2))
    torch.rand(3)  # the caller's own generator plays no part, and is left alone
    state = torch.random.get_rng_state()
    c = train_member(r, digits, included, 6)
    assert (torch.random.get_rng_state() == state).all()
    assert (a.margin == b.margin).all()
    assert (a.predicted == b.predicted).all()
    assert (a.margin != c.margin).any()


def test_it_learns_what_it_sees(digits):
    p = train_member(recipe(epochs=40, augmentation=0), digits, half(300), 1, setting=Setting(curve=True))
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    correct = p.predicted == labels
    assert correct[:300][p.included].mean() > 0.97
    assert correct[300:].mean() > 0.8
    assert len(p.curve["train_loss"]) == len(p.curve["test_accuracy"]) == 40
    assert p.curve["train_loss"][40] < p.curve["train_loss"][1] / 5
    assert p.curve["test_accuracy"][40] == pytest.approx(correct[300:].mean())
    p_label = probability(p.margin)
    assert (p_label <= p.p_max + np.float16(1e-3)).all()
    assert (p_label == p.p_max)[correct].all()


def test_an_excluded_example_has_no_part_in_the_network(digits):
    """Whatever the excluded images and labels are, the predictions of the others are the same."""
    import dataclasses

    included = half(300)
    images = digits.train_images.copy()
    images[~included] = 255
    labels = digits.train_labels.copy()
    labels[~included] = 0
    other = dataclasses.replace(digits, train_images=images, train_labels=labels)
    a, b = train_member(recipe(), digits, included, 3), train_member(recipe(), other, included, 3)
    assert (a.p_max[:300][included] == b.p_max[:300][included]).all()
    assert (a.p_max[300:] == b.p_max[300:]).all()


def test_a_member_that_diverges_has_no_class(digits):
    p = train_member(recipe(learning_rate=1e30), digits, half(300), 1)
    assert (p.predicted == no_class(10)).all()
    assert np.isnan(p.p_max).all()


def test_batches_are_full_and_every_pass_is_complete():
    rows = torch.arange(100, 150)
    order = batch_order(rows, 11, 32, torch.Generator().manual_seed(0))
    assert order.shape == (11, 32)
    flat = order.reshape(-1)
    for start in range(0, 350, 50):
        assert sorted(flat[start : start + 50].tolist()) == rows.tolist()
    assert flat[:50].tolist() != flat[50:100].tolist()


def test_learning_rate_is_a_triangle():
    rates = triangle(1000, 0.4, 0.2)
    assert rates.argmax() in (199, 200)
    assert rates.max() == pytest.approx(0.4, rel=0.01)
    assert rates[0] < 0.002
    assert rates[-1] < 0.001
    assert (np.diff(rates[:199]) > 0).all()
    assert (np.diff(rates[201:]) < 0).all()
    assert triangle(10, 1.0, 0.0)[0] == pytest.approx(0.95)


def test_epochs_are_counted_in_the_designs_size_not_in_what_is_included(digits):
    few, many = np.zeros(300, bool), np.ones(300, bool)
    few[:100] = True
    a = train_member(recipe(), digits, few, 1, 200, Setting(curve=True))
    b = train_member(recipe(), digits, many, 1, 200, Setting(curve=True))
    assert len(a.curve["train_loss"]) == len(b.curve["train_loss"]) == 3


def test_an_epoch_that_ends_inside_a_batch_keeps_its_number(digits):
    p = train_member(
        recipe(epochs=30, batch_size=512), digits, np.arange(300) < 35, 1, setting=Setting(curve=True)
    )
    assert [*p.curve["train_loss"]] == [*p.curve["test_accuracy"]] == [10, 20, 30]


@pytest.mark.parametrize("model", ["vgg3-w8", "vit-micro"])
def test_the_class_of_a_bf16_member_is_its_most_probable(digits, model):
    """In bf16 classes of wrong and right labels tie by the hundred."""
    p = train_member(recipe(model=model, precision="bf16", epochs=8), digits, half(300), 1)
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    assert (p.predicted != labels)[probability(p.margin) == p.p_max].sum() == 0


def test_augmentation_shifts_with_zeros_and_mirrors():
    images = torch.arange(1, 49, dtype=torch.uint8).reshape(1, 4, 4, 3).repeat(3, 1, 1, 1)
    draws = augmentation.Draws(
        torch.tensor([1, 0, 1], dtype=torch.uint8),
        torch.tensor([1, 1, 1], dtype=torch.uint8),
        torch.tensor([False, False, True]),
        1,
    )
    same, down, mirrored = augmentation.apply(images, draws)
    assert (same == images[0]).all()
    assert (down[1:] == images[0, :-1]).all()
    assert (down[0] == 0).all()
    assert (mirrored == images[0].flip(1)).all()


def test_augmentation_draws_cover_their_range():
    draws = augmentation.draw(5000, 32, 1.0, True, torch.Generator().manual_seed(0))
    assert draws.padding == 4
    assert set(draws.rows.tolist()) == set(range(9))
    assert draws.mirrored.float().mean() == pytest.approx(0.5, abs=0.03)
    assert augmentation.draw(50, 8, 1.0, False, torch.Generator()).mirrored is None
    assert augmentation.draw(50, 8, 0.0, True, torch.Generator()) is None


def test_batches_do_not_depend_on_how_many_are_prepared_at_once(digits, monkeypatch):
    order = batch_order(torch.arange(300), 9, 64, torch.Generator().manual_seed(0))
    draws = augmentation.draw(9 * 64, 8, 1.0, False, torch.Generator().manual_seed(0))
    whole = list(batches(digits, order, draws, torch.device("cpu")))
    monkeypatch.setattr("memreg.data.batches.CHUNK", 1)
    for (x, y), (x1, y1) in zip(whole, batches(digits, order, draws, torch.device("cpu")), strict=True):
        assert (x == x1).all()
        assert (y == y1).all()
        assert x.shape == (64, 1, 8, 8)


def test_pixels_are_scaled_by_constants():
    x = scale(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1))
    assert x.flatten().tolist() == pytest.approx([-2, 2])


def test_float32_is_float32_while_a_member_is_trained_and_predicts(digits, monkeypatch):
    seen = []

    def look(model, dataset):
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
        return predict(model, dataset)

    predict = training.predict
    monkeypatch.setattr(training, "predict", look)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    train_member(recipe(epochs=1), digits, half(300), 0)
    assert seen == [(False, True)]


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_a_convolution_whose_gradient_a_cpu_gets_wrong_in_bf16_is_refused(digits, precision):
    """timm's ResNet-18 makes one pixel of 8x8 images, and halves it twice more."""
    small = recipe(model="timm:resnet18", precision=precision, epochs=1, batch_size=16)
    included = np.arange(digits.n_train) < 16
    if precision == "float32":
        assert np.isfinite(train_member(small, digits, included, 0).margin).all()
        return
    with pytest.raises(MemregError, match=r"stride 2 is given images of 1x1, where .* precision=float32"):
        train_member(small, digits, included, 0)


def test_other_convolutions_are_let_through():
    with NarrowConvolutionsRefused("mine"):
        for stride, padding, pixels in [(1, 1, 1), (2, 0, 3), (2, 1, 2), (3, 1, 3)]:
            images = torch.ones(1, 1, pixels, pixels, dtype=torch.bfloat16)
            kernel = torch.ones(1, 1, 3, 3, dtype=torch.bfloat16)
            torch.nn.functional.conv2d(images, kernel, stride=stride, padding=padding)
        torch.nn.functional.conv2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 3, 3), stride=2, padding=1)


def test_a_gradient_that_lies_otherwise_than_its_weight_is_refused():
    weight = torch.randn(4, 3).t()
    with pytest.raises(MemregError, match="make the weight contiguous"):
        same_layout([weight], [torch.ones(3, 4)], "mine:net")
    same_layout([weight, torch.ones(1, 4).t()], [torch.ones(4, 3).t(), torch.ones(4, 1)], "mine:net")


@pytest.mark.parametrize("name", ["vgg3-w4", "resnet8-w8", "vit-micro", "timm:convnext_atto"])
def test_weights_and_gradients_of_every_family_lie_alike(name, digits, monkeypatch):
    looked = []
    check = training.same_layout
    monkeypatch.setattr(training, "same_layout", lambda *given: looked.append(1) or check(*given))
    small = load("digits+subset=100+size=32") if name.startswith("timm") else digits
    train_member(recipe(model=name, epochs=1), small, half(small.n_train), 0)
    assert looked == [1]
