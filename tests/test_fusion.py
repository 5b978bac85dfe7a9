"""Compiled passes, on a CPU: the same numbers but for rounding, or none."""

from functools import partial

import pytest
import torch

from memreg import static_step, together
from memreg.data import load
from memreg.data.memory import tensor
from memreg.fusion import Fusion, apart
from memreg.recipe import Recipe
from memreg.static_step import StaticStep
from memreg.together import Places, let_go, places_for
from memreg.training import augmentation_of, batch_order, deterministic, new_model


@pytest.fixture(scope="module")
def digits():
    return load("digits+subset=100")


def recipe(**changes):
    return Recipe(**{"model": "resnet8-w4", "epochs": 2, "batch_size": 32, "learning_rate": 0.1, **changes})


def network(asked, dataset, seed=0):
    torch.manual_seed(seed)
    return new_model(asked, dataset, torch.device("cpu"))


def loaded(asked, dataset, seed=0):
    """A step that may be taken, of a network on images like these."""
    step = StaticStep(
        network(asked, dataset), asked, tensor(dataset.train_images), tensor(dataset.train_labels), 4
    )
    step.load(*beginning(asked, dataset, seed))
    return step


def beginning(asked, dataset, seed=0):
    """What a member starts from: its weights and buffers, its batches, their augmentation."""
    generator = torch.Generator().manual_seed(seed)
    order = batch_order(torch.arange(dataset.n_train), 4, asked.batch_size, generator)
    begun = network(asked, dataset, seed)
    draws = augmentation_of(asked, dataset, order.numel(), generator)
    return [*begun.parameters(), *begun.buffers()], order, draws


def after_four(step):
    begun = step.copied()
    step.begin()
    for _ in range(4):
        step()
    return [now - then for now, then in zip(step.copied(), begun, strict=True) if now.is_floating_point()]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_fused_steps_are_those_of_more_kernels_but_for_rounding(precision, digits):
    from torch._dynamo.utils import counters

    asked = recipe(model="vgg3-w4", precision=precision)
    expected = after_four(loaded(asked, digits))
    compiled = Fusion(network(asked, digits), precision, beginning(asked, digits))
    with deterministic():
        for graphs in (1, 0):  # the second network is given what was compiled for the first
            before = counters["stats"]["unique_graphs"]
            step = loaded(asked, digits)
            begun = step.copied()
            assert compiled.put_into(step)
            assert step.forward is not step.network
            with torch.no_grad():
                for mine, value in zip(step.state, begun, strict=True):
                    mine.copy_(value)
            assert apart(expected, after_four(step)) < {"float32": 1e-3, "bf16": 0.2}[precision]
            assert counters["stats"]["unique_graphs"] == before + graphs


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("logits", "another one, by "),
        ("buffers", "another one, by "),
        ("no compiler", "Cannot find a working"),
    ],
)
def test_what_gives_something_else_is_not_used_and_why_is_said(wrong, why, digits, monkeypatch, caplog):
    def compiled(passes, **_):
        def something_else(own, images):
            if wrong == "no compiler":
                raise RuntimeError("Cannot find a working triton installation")
            if wrong == "buffers":  # those that it updates are others
                own = {name: value.clone() if "running" in name else value for name, value in own.items()}
            return passes(own, images) * (1.05 if wrong == "logits" else 1)

        return something_else

    monkeypatch.setattr(torch, "compile", compiled)
    asked = recipe()
    step = loaded(asked, digits)
    fusion = Fusion(network(asked, digits), "float32", beginning(asked, digits))
    assert not fusion.put_into(step)
    assert not fusion.put_into(step)
    assert step.forward is step.network
    assert why in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("factor", "sound"), [(1, True), (2, False)])
def test_rounding_of_bf16_is_told_from_another_step(factor, sound, digits, monkeypatch, caplog):
    """With few images it turns gradients further than a fault would be allowed to in float32."""

    def compiled(passes, **_):
        def rounded_less(own, images):
            with torch.autocast("cpu", enabled=False):
                return passes(own, images) * factor

        return rounded_less

    monkeypatch.setattr(torch, "compile", compiled)
    asked = recipe(precision="bf16", batch_size=8)
    passes = Fusion(network(asked, digits), "bf16", beginning(asked, digits))
    assert passes.put_into(loaded(asked, digits)) == sound
    assert ("where rounding alone does" in caplog.text) != sound


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("reference", ["sound", "no number"])
def test_passes_that_teach_nothing_are_refused_whatever_they_are_judged_by(
    precision, reference, digits, monkeypatch
):
    monkeypatch.setattr(torch, "compile", lambda passes, **_: lambda own, images: passes(own, images) * 0)
    asked = recipe(precision=precision, batch_size=8)
    state, order, draws = beginning(asked, digits)
    if reference == "no number":
        state = [torch.full_like(s, torch.nan) if s.is_floating_point() else s for s in state]
    passes = Fusion(network(asked, digits), precision, (state, order, draws))
    assert not passes.put_into(loaded(asked, digits))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("expected BFloat16")]
)
def test_without_a_step_in_float32_passes_are_not_judged(error, digits, monkeypatch, caplog):
    inner = static_step.computing_in

    def computing_in(precision, device):
        if precision == "float32":
            raise error
        return inner(precision, device)

    monkeypatch.setattr(torch, "compile", lambda passes, **_: passes)
    monkeypatch.setattr(static_step, "computing_in", computing_in)
    asked = recipe(precision="bf16")
    step = loaded(asked, digits)
    assert not Fusion(network(asked, digits), "bf16", beginning(asked, digits)).put_into(step)
    assert f"a step in float32, by which they are judged, fails: {error}" in caplog.text
    assert step.precision == "bf16"


def test_a_step_that_was_judged_goes_on_in_its_own_precision(digits, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda passes, **_: passes)
    asked = recipe(precision="bf16")
    step, untouched = loaded(asked, digits), loaded(asked, digits)
    assert Fusion(network(asked, digits), "bf16", beginning(asked, digits)).put_into(step)
    step.load(*beginning(asked, digits))
    assert all(map(torch.equal, after_four(step), after_four(untouched)))


def fusion(asked, dataset):
    return Fusion(network(asked, dataset), "float32", beginning(asked, dataset))


def test_memory_that_runs_out_is_told(digits, monkeypatch):
    def compiled(passes, **_):
        def refused(own, images):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        return refused

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(torch.OutOfMemoryError):
        fusion(recipe(), digits).put_into(loaded(recipe(), digits))


def test_passes_are_judged_by_the_same_member_whichever_comes_first(digits, monkeypatch):
    """One without a finite gradient, as of a rate that is too high, says nothing of them."""
    monkeypatch.setattr(torch, "compile", lambda passes, **_: passes)
    step = loaded(recipe(), digits)
    for value in step.network.parameters():
        value.data.fill_(torch.nan)
    assert fusion(recipe(), digits).put_into(step)


def test_members_of_fused_places_do_not_depend_on_who_is_beside_them(digits, monkeypatch):
    """With passes that are not compiled: those who share them are what is tested."""
    monkeypatch.setattr(torch, "compile", lambda passes, **_: partial(passes))
    asked = recipe()
    given = [(torch.rand(digits.n_train).numpy() < 0.5, seed) for seed in range(3)]
    found = []
    for most in (1, 4):
        monkeypatch.setattr(together, "places_for", lambda *_, most=most: Places(most, fused=True))
        found.append(together.train_together(asked, digits, given, 50, "cpu"))
        let_go()
    for alone, beside in zip(*found, strict=True):
        assert alone.step == beside.step == "eager and fused"
        assert (alone.margin == beside.margin).all()


def test_passes_are_compiled_where_members_are_trained_for_long(digits):
    long = recipe(epochs=2000)
    assert 2000 * digits.n_train / 32 > 5000
    assert places_for(long.model_copy(update={"model": "vit-micro"}), digits).fused
    assert not places_for(recipe(model="vit-micro"), digits).fused
    assert not places_for(long, digits).fused  # a stack


def test_how_far_apart():
    a = [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]
    assert apart(a, a) == 0
    assert apart(a, [torch.tensor([3.0, 0.0]), torch.tensor([4.5])]) == pytest.approx(0.1)
    assert apart([torch.zeros(2)], [torch.ones(2)]) == float("inf")
    assert apart(a, [torch.tensor([3.0, float("nan")]), torch.tensor([4.0])]) == float("inf")
