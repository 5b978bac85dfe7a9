"""Proxies: each is what its source defines, of the members that saw an example and did not diverge."""

import inspect
import math
import statistics

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from memreg.errors import MemregError
from memreg.estimators import proxies
from memreg.estimators.proxies import NEEDS, PROXIES
from memreg.estimators.traces import FIT, Traces

STEPS = [4, 9, 21, 40, 70, 100]
"""The second is closest to a tenth."""
RATES = [0.1, 0.4, 0.3, 0.2, 0.1, 0.05]
DIVERGED = 2


def traced(quantities, included=None, steps=None, rates=None):
    """Of quantities [m, C, n]; by default every member saw all examples."""
    kept = {name: np.asarray(values) for name, values in quantities.items()}
    m, count, n = next(iter(kept.values())).shape
    return Traces(
        np.arange(m, dtype=np.int32),
        np.ones((m, n), bool) if included is None else np.asarray(included),
        np.arange(1, count + 1, dtype=np.int32) if steps is None else np.array(steps, np.int32),
        np.ones(count) if rates is None else np.array(rates),
        {},
        kept,
    )


def one(**sequences):
    """Of one member that saw one example, whose quantities are these over checkpoints."""
    count = len(next(iter(sequences.values())))
    given = {"loss": np.ones(count)} | sequences
    return traced({name: np.reshape(values, (1, count, 1)) for name, values in given.items()})


def seen(logits, labels):
    """Quantities of logits [m, C, n, classes], by torch."""
    logits = torch.as_tensor(np.asarray(logits, float))
    label = torch.as_tensor(np.asarray(labels)).expand(logits.shape[:-1])
    p = logits.softmax(-1)
    own = p.gather(-1, label[..., None])[..., 0]
    rows, flat = logits.reshape(-1, logits.shape[-1]), label.reshape(-1)
    return {
        "loss": F.cross_entropy(rows, flat, reduction="none").reshape(label.shape).numpy(),
        "margin": own.logit().numpy(),
        "correct": (logits.argmax(-1) == label).numpy(),
        "el2n": (p - F.one_hot(label, logits.shape[-1])).norm(dim=-1).numpy(),
    }


def several(dtype=np.float16):
    """Five members of nine examples: one member diverged, and only that one saw the last example."""
    rng = np.random.default_rng(3)
    shape = (5, len(STEPS), 9)
    quantities = seen(rng.normal(0, 2, (*shape, 4)), rng.integers(0, 4, 9))
    quantities["correct"][:, :, 0] = False
    quantities["correct"][:, :, 1] = True
    quantities |= {name: rng.gamma(2, 3, shape) for name in ("curvature", "gradient_norm")}
    for values in quantities.values():
        if values.dtype == bool:
            values[DIVERGED, 3:] = False
        else:
            values[DIVERGED, 3:] = np.nan
    kept = {k: v if v.dtype == bool else v.astype(dtype) for k, v in quantities.items()}
    included = rng.random((5, 9)) < 0.6
    included[DIVERGED] = True
    included[np.arange(5) != DIVERGED, 8] = False
    included[0, :8] = True
    return traced(kept, included, STEPS, RATES)


def learned_from(right):
    for first in range(len(right)):
        if all(right[first:]):
            return first / len(right)
    return 1.0


def forgotten(right):
    events, learned = 0, False
    for before, now in zip([False, *right], right, strict=False):
        learned = learned or now
        if before and not now:
            events += 1
    return events if learned else len(right)


def probabilities(margin):
    return [1 / (1 + math.exp(-m)) for m in margin]


BY_HAND = {
    "learning_time": lambda s: learned_from(s["correct"]),
    "correctness": lambda s: sum(not right for right in s["correct"]) / len(STEPS),
    "forgetting": lambda s: forgotten(s["correct"]),
    "cumulative_loss": lambda s: sum(s["loss"]) / len(STEPS),
    "aum": lambda s: -sum(s["margin"]) / len(STEPS),
    "final_margin": lambda s: -s["margin"][5],
    "el2n": lambda s: s["el2n"][1],
    "grand": lambda s: s["gradient_norm"][1],
    "confidence": lambda s: 1 - statistics.fmean(probabilities(s["margin"])),
    "variability": lambda s: statistics.pstdev(probabilities(s["margin"])),
    "curvature": lambda s: sum(s["curvature"]) / len(STEPS),
    "tracin": lambda s: sum(rate * g * g for rate, g in zip(RATES, s["gradient_norm"], strict=True)),
}
"""Of one member and example, from what was seen of it at each checkpoint."""


def by_hand(name, traces):
    """[n_train]."""
    result = []
    for i in range(traces.included.shape[1]):
        found = [
            BY_HAND[name]({key: values[m, :, i].tolist() for key, values in traces.quantities.items()})
            for m in range(len(traces))
            if traces.included[m, i] and m != DIVERGED
        ]
        result.append(sum(found) / len(found) if found else math.nan)
    return np.array(result)


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_proxy_is_what_its_source_defines(name, dtype):
    traces = several(dtype)
    found = PROXIES[name](traces)
    assert found.dtype == np.float64
    assert np.allclose(found, by_hand(name, traces), rtol=1e-9, equal_nan=True)
    assert np.isnan(found).tolist() == [False] * 8 + [True]


def test_every_proxy_is_listed_by_its_own_name():
    public = {
        name
        for name, f in vars(proxies).items()
        if inspect.isfunction(f) and f.__module__ == proxies.__name__ and not name.startswith("_")
    }
    assert public == set(PROXIES) == set(BY_HAND)
    assert all(PROXIES[name] is getattr(proxies, name) for name in PROXIES)
    assert all(PROXIES[name].__doc__ for name in PROXIES)


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_needs_the_observer_that_it_says(name):
    traces = several()
    always = traced({key: traces[key] for key in FIT}, traces.included, STEPS, RATES)
    if name in NEEDS:
        with pytest.raises(MemregError, match=f"no quantity '{NEEDS[name]}'"):
            PROXIES[name](always)
    else:
        assert np.array_equal(PROXIES[name](always), PROXIES[name](traces), equal_nan=True)


@pytest.mark.parametrize("name", PROXIES)
def test_the_order_of_examples_is_the_order_of_the_result(name):
    traces = several()
    order = np.random.default_rng(4).permutation(9)
    shuffled = traced(
        {key: values[:, :, order] for key, values in traces.quantities.items()},
        traces.included[:, order],
        STEPS,
        RATES,
    )
    assert np.array_equal(PROXIES[name](shuffled), PROXIES[name](traces)[order], equal_nan=True)


@pytest.mark.parametrize("name", PROXIES)
def test_members_that_did_not_see_an_example_do_not_count(name):
    traces = several()
    other = several()
    unseen = ~traces.included
    for values in other.quantities.values():
        values[np.broadcast_to(unseen[:, None], values.shape)] = 1
    assert np.array_equal(PROXIES[name](other), PROXIES[name](traces), equal_nan=True)


@pytest.mark.parametrize("name", PROXIES)
def test_a_member_that_diverged_is_left_out(name):
    traces = several()
    others = traces.part([m for m in range(5) if m != DIVERGED])
    assert np.array_equal(PROXIES[name](traces), PROXIES[name](others), equal_nan=True)
    assert np.isnan(PROXIES[name](traces.part([DIVERGED]))).all()


@pytest.mark.parametrize("name", PROXIES)
def test_of_no_member_nothing_is_known(name):
    assert np.isnan(PROXIES[name](several().part([]))).tolist() == [True] * 9


@pytest.mark.parametrize("name", PROXIES)
def test_float16_is_not_summed_in_float16(name):
    """Four checkpoints of 40,000 add up to more than float16 can hold."""
    large = np.full((1, 4, 2), 40_000, np.float16)
    same = dict.fromkeys(("loss", "margin", "el2n", "curvature", "gradient_norm"), large)
    found = PROXIES[name](traced(same | {"correct": np.ones((1, 4, 2), bool)}))
    assert np.isfinite(found).all()
    if name == "tracin":
        assert (found == 4 * float(large[0, 0, 0]) ** 2).all()
    if name in ("cumulative_loss", "curvature"):
        assert (found == float(large[0, 0, 0])).all()


@pytest.mark.parametrize("name", [name for name in PROXIES if name != "variability"])
def test_an_example_that_is_never_learned_is_the_most_memorized(name):
    """All others are learned sooner or later; some are forgotten, and learned again."""
    rng = np.random.default_rng(5)
    m, count, n, hard = 3, 8, 12, 7
    rising = np.linspace(-1, 6, count)[None, :, None] + rng.normal(0, 1.5, (m, count, n))
    rising[:, -1] = 6
    rising[:, :, hard] = -8
    logits = np.stack([rising, np.zeros_like(rising)], axis=-1)
    quantities = seen(logits, np.zeros(n, int))
    quantities |= {"gradient_norm": 3 * quantities["el2n"], "curvature": quantities["el2n"] / 2}
    found = PROXIES[name](traced(quantities))
    assert (np.delete(found, hard) < found[hard]).all()


def test_an_example_that_comes_and_goes_varies_most():
    """One that is easy, or never learned, does not (Swayamdipta et al. 2020)."""
    margin = np.array([[6, 6, 6, 6], [-8, -8, -8, -8], [-3, 3, -3, 3]], float).T[None]
    easy, never, ambiguous = proxies.variability(traced({"loss": np.ones((1, 4, 3)), "margin": margin}))
    assert ambiguous > 0.4
    assert easy == pytest.approx(0, abs=1e-9)
    assert never == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("sequence", "events", "time"),
    [
        ("RWRWR", 2, 4 / 5),
        ("WWWWW", 5, 1),
        ("RRRRR", 0, 0),
        ("WWRRR", 0, 2 / 5),
        ("WRRRW", 1, 1),
        ("RWWWW", 1, 1),
        ("RWRWRW", 3, 1),
        ("W", 1, 1),
        ("R", 0, 0),
    ],
)
def test_forgetting_and_learning_time_of_sequences(sequence, events, time):
    traces = one(correct=[letter == "R" for letter in sequence])
    assert proxies.forgetting(traces)[0] == events
    assert proxies.learning_time(traces)[0] == pytest.approx(time)
    assert proxies.correctness(traces)[0] == pytest.approx(sequence.count("W") / len(sequence))


def test_the_area_under_the_margin_of_two_classes():
    """Pleiss et al. 2020: the label's logit less the largest other, averaged over checkpoints."""
    logits = np.array([[2.0, -1.0], [0.5, 3.0], [4.0, 4.5]])
    for label, expected in ((0, (3 - 2.5 - 0.5) / 3), (1, (-3 + 2.5 + 0.5) / 3)):
        found = proxies.aum(traced(seen(logits[None, :, None], [label])))
        assert found[0] == pytest.approx(-expected, abs=1e-12)
    last = traced(seen(logits[None, :, None], [0]))
    assert proxies.final_margin(last)[0] == pytest.approx(0.5)


def test_the_margin_of_traces_is_below_that_of_the_source():
    """With more classes, by at most the log of the number of others."""
    rng = np.random.default_rng(6)
    logits, label = rng.normal(0, 2, (1, 5, 30, 10)), rng.integers(0, 10, 30)
    own = np.take_along_axis(logits[0], label[None, :, None], 2)[..., 0]
    others = np.where(np.arange(10) == label[:, None], -np.inf, logits[0]).max(-1)
    theirs = (own - others).mean(0)
    found = -proxies.aum(traced(seen(logits, label)))
    assert (found < theirs).all()
    assert (found > theirs - np.log(9)).all()


def test_cartography_of_an_example():
    """Swayamdipta et al. 2020: p of 0.2, 0.8, 0.5 and 0.9 has mean 0.6 and variance 0.075."""
    p = np.array([0.2, 0.8, 0.5, 0.9])
    traces = one(margin=np.log(p / (1 - p)), correct=[False, True, False, True])
    assert 1 - proxies.confidence(traces)[0] == pytest.approx(0.6)
    assert proxies.variability(traces)[0] == pytest.approx(0.075**0.5)
    assert 1 - proxies.correctness(traces)[0] == 0.5


@pytest.mark.parametrize(
    ("steps", "early"),
    [(STEPS, 1), ([10, 20, 100], 0), ([2, 4, 30], 0), ([5, 15, 16, 100], 0), ([1, 11, 100], 1), ([7], 0)],
)
def test_el2n_and_grand_are_of_the_checkpoint_closest_to_a_tenth(steps, early):
    """Of two that are as close, the earlier."""
    values = np.arange(len(steps), dtype=float)[None, :, None]
    named = {"loss": values, "el2n": values, "gradient_norm": values}
    traces = traced(named, steps=steps)
    assert proxies.el2n(traces)[0] == proxies.grand(traces)[0] == early


def trained():
    """A linear model's inputs, labels, and its weights and biases at each checkpoint."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    layer = torch.nn.Linear(5, 3, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return x, y, layer


def test_tracin_is_the_dot_product_of_gradients_over_checkpoints():
    """Pruthi et al. 2020: sum of rate * grad l(w, z) . grad l(w, z), of a training by gradient descent."""
    x, y, layer = trained()
    expected, lengths, logits = torch.zeros(6, dtype=torch.float64), [], []
    for rate in RATES:
        outputs = layer(x)
        for i in range(6):
            loss = F.cross_entropy(outputs[i], y[i])
            gradient = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
            expected[i] += rate * sum((g * g).sum() for g in gradient)
        error = outputs.softmax(1) - F.one_hot(y, 3)
        lengths.append((error.norm(dim=1) * (x.square().sum(1) + 1).sqrt()).detach().numpy())
        logits.append(outputs.detach().numpy())
        step = torch.autograd.grad(F.cross_entropy(outputs, y), list(layer.parameters()))
        with torch.no_grad():
            for parameter, g in zip(layer.parameters(), step, strict=True):
                parameter -= rate * g
    quantities = seen(np.array(logits)[None], y) | {"gradient_norm": np.array(lengths)[None]}
    traces = traced(quantities, steps=STEPS, rates=RATES)
    assert np.allclose(proxies.tracin(traces), expected.numpy(), rtol=1e-12)
    early = torch.tensor(logits[1]).softmax(1) - F.one_hot(y, 3)
    assert np.allclose(proxies.el2n(traces), early.norm(dim=1).numpy(), rtol=1e-12)
    assert np.allclose(proxies.grand(traces), lengths[1], rtol=1e-12)


def test_curvature_is_averaged_over_checkpoints_and_members():
    bend = np.array([[[1, 8], [3, 0]], [[5, 6], [7, 2]]], float)
    named = {"loss": np.ones((2, 2, 2)), "curvature": bend}
    assert proxies.curvature(traced(named)).tolist() == [4, 4]
    assert proxies.curvature(traced(named, [[True, False], [False, True]])).tolist() == [2, 4]
