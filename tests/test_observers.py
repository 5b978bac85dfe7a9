"""What is kept of training: it is right, and it changes nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from memreg import margins, observers
from memreg.data import load
from memreg.data.batches import scale
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.sgd import triangle
from memreg.tracing import Tracing
from memreg.training import Setting, train_member

ALL = "curvature,gradient_norm,features,last_layer,queries"


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=300")


def traced(digits, tracing, seed=5, **changes):
    fields = {"model": "vgg3-w4", "epochs": 3, "batch_size": 64, "learning_rate": 0.2} | changes
    included = np.random.default_rng(0).random(300) < 0.7
    return train_member(Recipe(**fields), digits, included, seed, setting=Setting(tracing=tracing))


def watched(digits, tracing):
    """A member's trace, and its network's state at each checkpoint."""
    kept = []

    class Watching(observers.Recorder):
        def look(self, step, model):
            super().look(step, model)
            kept.append({name: value.clone() for name, value in model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memreg.training.Recorder", Watching)
        return traced(digits, tracing).trace, kept


@pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16"}, {"model": "vit-micro"}, {"model": "resnet8-w8"}]
)
def test_a_traced_member_has_the_bits_of_one_that_is_not(digits, changes):
    bare, seen = (traced(digits, tracing, **changes) for tracing in (None, Tracing.by(1, 7, ALL)))
    assert (bare.margin == seen.margin).all()
    assert (bare.predicted == seen.predicted).all()
    assert bare.trace is None
    assert seen.trace is not None


def test_the_last_checkpoint_is_what_is_predicted(digits):
    p = traced(digits, Tracing(1))
    trace = p.trace
    assert (trace["margin"][0, -1] == p.margin[:300]).all()
    assert (trace["correct"][0, -1] == (p.predicted[:300] == digits.train_labels)).all()
    assert np.allclose(trace["loss"][0, -1], np.logaddexp(0, -p.margin[:300].astype(float)), atol=5e-3)
    assert (trace.included[0] == p.included).all()


def test_checkpoints_are_spread_and_end_with_training(digits):
    trace = traced(digits, Tracing(1, checkpoints=4)).trace
    steps = int(np.ceil(3 * trace.included.sum() / 64))
    assert trace.steps.tolist() == [int(np.ceil(steps * share)) for share in (0.25, 0.5, 0.75, 1)]
    assert np.allclose(trace.rates, triangle(steps, 0.2, 0.2)[trace.steps - 1])
    assert Tracing(1, checkpoints=20).at(5).tolist() == [1, 2, 3, 4, 5]
    assert Tracing(1, checkpoints=3).at(3).tolist() == [1, 2, 3]


def test_every_checkpoint_is_of_that_moment(digits):
    """A training that ends at a checkpoint, at the rates of the longer one, has the same network there."""
    trace, kept = watched(digits, Tracing(1, checkpoints=3))
    from memreg import models

    network = models.build("vgg3-w4", (1, 8, 8), 10).eval()
    for at, state in enumerate(kept):
        network.load_state_dict(state)
        with torch.no_grad():
            logits = network(scale(torch.from_numpy(np.array(digits.train_images)))).double()
        p = logits.softmax(1).numpy()
        label = digits.train_labels
        error = p - np.eye(10)[label]
        assert np.allclose(trace["el2n"][0, at], np.sqrt((error**2).sum(1)), atol=2e-3)
        assert np.allclose(trace["loss"][0, at], -np.log(p[np.arange(300), label]), rtol=2e-3, atol=2e-3)
        assert (trace["correct"][0, at] == (p.argmax(1) == label)).mean() > 0.99


def small_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 5)).eval()
    return network, torch.randn(6, 1, 8, 8), torch.arange(6) % 5


def test_gradient_norm_is_that_of_autograd():
    network, images, labels = small_network()
    found = observers.gradient_norm(network, images, labels)["gradient_norm"]
    for i in range(6):
        loss = F.cross_entropy(network(images[i : i + 1]), labels[i : i + 1])
        own = torch.autograd.grad(loss, [network[3].weight, network[3].bias])
        assert found[i] == pytest.approx(float(torch.cat([g.flatten() for g in own]).norm()), rel=1e-5)


def test_features_are_what_the_last_layer_is_given():
    network, images, labels = small_network()
    assert torch.allclose(observers.features(network, images, labels)["features"], network[:3](images))


def test_the_last_layer_is_what_it_is_given_and_makes_of_it():
    network, images, labels = small_network()
    found = observers.last_layer(network, images, labels)
    weights = torch.cat([network[3].weight, network[3].bias[:, None]], 1)
    assert torch.allclose(found["layer_input"] @ weights.T, network(images), atol=1e-6)
    assert torch.equal(found["layer_output"], network(images))
    assert torch.equal(found["layer_label"][:, 0], labels)


def test_curvature_is_the_size_of_the_hessian():
    """E |H v|^2 over signs is the sum of the squares of H."""
    network, images, labels = small_network()
    network, images = network.double(), images.double()
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observers, "DRAWS", 4000)
        found = observers.curvature(network, images, labels)["curvature"]
    for i in range(6):

        def loss(image, label=labels[i : i + 1]):
            return F.cross_entropy(network(image[None]), label)

        hessian = torch.autograd.functional.hessian(loss, images[i]).reshape(64, 64)
        assert found[i] == pytest.approx(float(hessian.norm()), rel=0.05)


def views_by_hand(images, mirrored):
    """Of uint8 images [n, height, width, channels], by index: black where there was nothing."""
    _, height, width, _ = images.shape
    step = max(1, round(min(height, width) / 16))
    found = []
    for flipped in (False, True) if mirrored else (False,):
        for down in (step, 0, -step):
            for right in (step, 0, -step):
                view = np.zeros_like(images)
                for y in range(height):
                    for x in range(width):
                        if 0 <= y - down < height and 0 <= x - right < width:
                            view[:, y, x] = images[:, y - down, x - right]
                if flipped or down or right:
                    found.append(view[:, :, ::-1] if flipped else view)
    return found


@pytest.mark.parametrize(
    ("size", "mirrored", "count"), [((8, 8, 1), False, 8), ((8, 8, 1), True, 17), ((32, 40, 3), True, 17)]
)
def test_views_are_moved_by_a_step_and_mirrored_where_that_may_be(size, mirrored, count):
    images = np.random.default_rng(0).integers(1, 256, (3, *size), dtype=np.uint8)
    found = list(observers.views(scale(torch.from_numpy(images)), mirrored))
    expected = views_by_hand(images, mirrored)
    assert len(found) == len(expected) == count
    for view, by_hand in zip(found, expected, strict=True):
        assert torch.equal(view, scale(torch.from_numpy(by_hand.copy())))


def test_queries_are_log_odds_of_views_by_the_trained_network(digits):
    trace, kept = watched(digits, Tracing.by(1, 2, "queries"))
    from memreg import models

    network = models.build("vgg3-w4", (1, 8, 8), 10).eval()
    network.load_state_dict(kept[-1])
    label, others = digits.train_labels, ~np.eye(10, dtype=bool)[digits.train_labels]
    assert trace["queries"].shape == (1, 300, 8)
    assert trace["queries"].dtype == np.float16
    for q, view in enumerate(views_by_hand(np.array(digits.train_images), False)):
        with torch.no_grad():
            z = network(scale(torch.from_numpy(view.copy()))).double().numpy()
        expected = z[np.arange(300), label] - np.log(np.exp(z[others].reshape(300, 9)).sum(1))
        assert np.allclose(trace["queries"][0, :, q], expected, rtol=2.1e-3, atol=1e-3)
    assert trace.costs["queries"] == pytest.approx(8 * trace.costs["fit"])


def test_queries_are_stored_as_margins_are():
    """Held within what float16 has, and not lost where a probability is 1."""

    class Sure(nn.Module):
        def forward(self, images):
            return torch.tensor([[0.0, 20.0], [9e5, 0.0]]).to(images)

    found = observers.queries(Sure(), torch.zeros(2, 1, 8, 8), torch.tensor([1, 1]), False)["queries"]
    kept = observers._stored("queries", [found])
    assert kept.shape == (1, 2, 8)
    assert (kept[0, 0] == 20).all()
    assert (kept[0, 1] == margins.stored(np.array([-9e5]))).all()
    assert np.isfinite(kept).all()


def test_what_is_more_than_a_number_is_of_the_last_checkpoint(digits):
    trace = traced(digits, Tracing.by(1, 4, ALL)).trace
    assert trace["curvature"].shape == (1, 4, 300)
    assert trace["features"].shape == (1, 300, 16)
    assert trace["layer_input"].shape == (1, 300, 17)
    assert trace["layer_output"].shape == (1, 300, 10)
    assert (trace["layer_label"][0, :, 0] == digits.train_labels).all()
    assert set(trace.costs) == {"fit", "curvature", "gradient_norm", "features", "last_layer", "queries"}
    assert trace.costs["curvature"] == pytest.approx(33 * trace.costs["fit"])


def test_what_gives_vectors_alone_is_asked_at_the_first_images_and_at_the_end(mine, monkeypatch):
    monkeypatch.setattr(observers, "BATCH", 100)
    looked = traced(load("digits+subset=300"), Tracing.by(1, 10, f"{ALL},looking:twice,looking:both")).trace
    for name in ("features", "last_layer", "looking:twice"):
        assert looked.costs[name] == pytest.approx((1 / 3 + 1) / len(looked.steps) * looked.costs["fit"])
    for name in ("gradient_norm", "looking:both"):
        assert looked.costs[name] == pytest.approx(looked.costs["fit"])
    assert (looked["pair"] == looked["layer_output"][..., :2]).all()
    assert looked["of_each"].shape == (1, len(looked.steps), 300)
    assert (looked["logits"] == looked["layer_output"]).all()


SOURCE = """
import torch

def norm(model, images, labels):
    return {"norm": model(images).norm(dim=1)}

@torch.no_grad()
def twice(model, images, labels):
    return {"pair": model(images)[:, :2]}

@torch.no_grad()
def both(model, images, labels):
    return {"logits": model(images), "of_each": model.training * labels}

def meddles(model, images, labels):
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    return {}

def trains(model, images, labels):
    model.train()
    return {"norm": model(images).norm(dim=1)}

def short(model, images, labels):
    return {"norm": model(images)[:1, 0]}

def taken(model, images, labels):
    return {"loss": model(images)[:, 0]}

def draws(model, images, labels):
    return {"noise": torch.rand(len(images))}

def nothing(model, images, labels):
    return 3

def masks(model, images, labels):
    return {"included": torch.ones(len(images))}

def norm_again(model, images, labels):
    return {"norm": torch.ones(len(images))}

CALLS = 0

def seldom(model, images, labels):
    global CALLS
    CALLS += 1
    return {"now": torch.ones(len(images))} if CALLS % 2 else {}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "looking.py").write_text(SOURCE)


def test_an_observer_of_the_users(digits, mine):
    tracing = Tracing.by(1, 4, "looking:norm,looking:twice,looking:draws")
    assert len(dict(tracing.observers)["looking:norm"]) == 64
    bare, seen = traced(digits, None), traced(digits, tracing)
    assert (bare.margin == seen.margin).all()
    assert seen.trace["norm"].shape == (1, 4, 300)
    assert seen.trace["pair"].shape == (1, 300, 2)
    again = traced(digits, tracing).trace
    assert (again["noise"] == seen.trace["noise"]).all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("meddles", "changed the network"),
        ("trains", "changed the network"),
        ("short", r"tensor \[300\]"),
        ("taken", "choose another name"),
        ("nothing", "must return a mapping"),
        ("masks", "choose another name"),
        ("seldom", "at some checkpoints alone"),
    ],
)
def test_an_observer_that_is_none_is_refused(digits, mine, name, said):
    with pytest.raises(MemregError, match=said):
        traced(digits, Tracing.by(1, 4, f"looking:{name}"))


def test_two_observers_of_one_quantity_are_refused(digits, mine):
    with pytest.raises(MemregError, match="both give norm"):
        traced(digits, Tracing.by(1, 4, "looking:norm,looking:norm_again"))


def test_an_observer_is_tried_before_anything_is_trained(digits, mine):
    state = torch.random.get_rng_state()
    observers.try_observers(Tracing.by(1, 4, f"{ALL},looking:norm"), "vgg3-w4", digits)
    assert (torch.random.get_rng_state() == state).all()
    with pytest.raises(MemregError, match="must return a mapping"):
        observers.try_observers(Tracing.by(1, 4, "looking:nothing"), "vgg3-w4", digits)


def test_names_that_are_none_are_refused(mine):
    with pytest.raises(MemregError, match="unknown observer 'curve'"):
        Tracing.by(1, 20, "curve")
    with pytest.raises(MemregError, match="No module named"):
        Tracing.by(1, 20, "absent:norm")


def test_a_network_without_a_last_layer_is_refused(digits):
    network, images, labels = nn.Sequential(nn.Flatten(), nn.Tanh()), torch.zeros(2, 1, 8, 8), torch.arange(2)
    with pytest.raises(MemregError, match="ends in a linear layer"):
        observers.features(network, images, labels)


def test_a_member_that_diverges_keeps_a_trace_of_nothing(digits):
    p = traced(digits, Tracing(1), learning_rate=1e30)
    assert np.isnan(p.trace["loss"][0, -1]).all()
