"""What every proxy of traces keeps to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from memreg.estimators.counts import Floats
from memreg.estimators.traces import Traces
from memreg.scoring.proxies import from_traces
from memreg.tracing import OBSERVERS

M, C, N, WIDTH, CLASSES = 6, 20, 40, 4, 3
"""Members, checkpoints, examples, numbers of a vector, and classes."""
UNLEARNED, EASY, UNSEEN = 0, 1, 2
"""Examples: one that no member learns, one that every member has right from the start, and one that no member
sees."""
HIGH, LOW = 5.0, 0.01


class ProxySuite:
    """Set `name`, as `proxies=` has it."""

    name: str
    observed: tuple[str, ...] = ()
    """Quantities that your observers give beside memreg's own, each one number per example."""
    ranks_the_unlearned = True
    """Whether an example that is never learned ranks above one that is right from the start. A proxy of
    anything but difficulty sets this to False, as `variability` does: a network that never learns an example
    changes its mind about it as little as about one that it always knew."""

    def traces(self) -> Traces:
        """Six members at 20 checkpoints, the same whenever they are asked for."""
        rng = np.random.default_rng(0)
        included = rng.random((M, N)) < 0.7
        included[0] = included[:, [UNLEARNED, EASY]] = True
        included[:, UNSEEN] = False
        return Traces(
            np.arange(M, dtype=np.int32),
            included,
            np.arange(10, 10 * C + 1, 10, dtype=np.int32),
            np.interp(np.arange(1, C + 1), [0, 4, C], [0, 0.4, 0.01]),
            {name: np.full(M, 0.5) for name in ("fit", *OBSERVERS)},
            self.quantities(rng),
        )

    def quantities(self, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """What the traces have: override it where your observers give vectors."""
        shape = (M, C, N)
        ability = np.linspace(-2, 3, C)[:, None] - rng.normal(0, 1.5, N)
        margin = ability + rng.normal(0, 1, shape)
        margin[..., UNLEARNED] = -8 + rng.normal(0, 0.1, (M, C))
        margin[..., EASY] = 6 + rng.normal(0, 0.1, (M, C))
        error = np.sqrt(2) * expit(-margin)
        vectors = rng.normal(0, 1, (M, N, WIDTH))
        vectors[:, UNLEARNED], vectors[:, EASY] = HIGH, 0
        numbers = {"loss": np.logaddexp(0, -margin), "margin": margin, "el2n": error}
        for name in ("curvature", "gradient_norm", *self.observed):
            numbers[name] = error * rng.uniform(0.5, 1.5, shape)
            numbers[name][..., UNLEARNED], numbers[name][..., EASY] = HIGH, LOW
        numbers["features"] = vectors
        numbers |= self._last_layer(rng)
        return {name: values.astype(np.float16) for name, values in numbers.items()} | {"correct": margin > 0}

    def _last_layer(self, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        given, weights = rng.normal(0, 1, (M, N, WIDTH)), rng.normal(0, 1, (WIDTH, CLASSES))
        given[:, UNLEARNED] = given[:, EASY] = given[0, 0]
        logits = given @ weights
        label = rng.integers(0, CLASSES, N)
        label[UNLEARNED], label[EASY] = logits[0, 0].argmin(), logits[0, 0].argmax()
        labels = np.broadcast_to(label[:, None], (M, N, 1))
        return {"layer_input": given, "layer_output": logits, "layer_label": labels}

    def values(self, traces: Traces) -> Floats:
        """What the proxy says of these traces, which it must leave as they are."""
        given = from_traces(self.name, traces)
        assert given.shape == (traces.included.shape[1],)
        return given

    def test_every_example_that_a_member_saw_has_a_number(self) -> None:
        traces = self.traces()
        values = self.values(traces)
        assert np.isfinite(values[traces.included.any(0)]).all()
        assert not np.isinf(values).any()

    def test_one_member_is_enough(self) -> None:
        one = self.traces().part(slice(0, 1))
        assert np.isfinite(self.values(one)[one.included[0]]).all()

    def test_the_order_of_members_does_not_matter(self) -> None:
        traces = self.traces()
        other = traces.part(np.random.default_rng(1).permutation(M))
        assert np.allclose(self.values(traces), self.values(other), equal_nan=True)

    def test_the_order_of_examples_is_that_of_the_values(self) -> None:
        traces, order = self.traces(), np.random.default_rng(2).permutation(N)
        other = replace(
            traces,
            included=traces.included[:, order],
            quantities={
                name: values[..., order] if values.shape == (M, C, N) else values[:, order]
                for name, values in traces.quantities.items()
            },
        )
        assert np.allclose(self.values(traces)[order], self.values(other), equal_nan=True)

    def test_what_is_never_learned_ranks_above_what_is_right_from_the_start(self) -> None:
        if self.ranks_the_unlearned:
            values = self.values(self.traces())
            assert values[UNLEARNED] > values[EASY]

    def test_a_member_that_diverged_takes_no_number_from_examples_that_others_saw(self) -> None:
        traces = self.traces()
        quantities = {name: values.copy() for name, values in traces.quantities.items()}
        for name, values in quantities.items():
            values[-1] = False if name == "correct" else np.nan
        diverged = replace(traces, quantities=quantities)
        seen_by_others = traces.included[:-1].any(0)
        assert np.isfinite(self.values(diverged)[seen_by_others]).all()
