"""Cheap stand-ins for memorization scores, each from what training shows of the examples (`Traces`).

A proxy gives each training example a number, [n_train], and larger numbers mean more memorized: where the
source's own runs the other way, its sign is turned, and the proxy says so. Each is computed of every member
alone and averaged over the members that saw the example; it is NaN where no member did. A member that
diverged is left out of all of them.

Sources look at an example after each epoch, or whenever it is drawn; here it is looked at at the checkpoints.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from memreg.estimators.counts import Floats
from memreg.estimators.traces import Traces

EARLY = 10
"""EL2N and GraNd are taken after one in so many of the steps: epoch 20 of 200 (Paul et al. 2021)."""


def learning_time(traces: Traces) -> Floats:
    """Share of the checkpoints that pass before the example is right for good, [n_train]; 1 if it never is.

    Toneva et al. (2019) as Baldock et al. (2021, "Deep learning through the lens of example difficulty",
    section 1) put it: the earliest iteration from which on the label is always predicted. Their own
    "iteration learned" asks for the network's last prediction in the label's place.
    """

    def of(correct: Floats) -> Floats:
        right_to_the_end = np.multiply.accumulate(correct[::-1]).sum(0)
        share: Floats = (len(correct) - right_to_the_end) / len(correct)
        return share

    return _mean(traces, "correct", of)


def correctness(traces: Traces) -> Floats:
    """Share of the checkpoints at which the example is wrong, [n_train].

    It is 1 less the correctness of Swayamdipta et al. (2020, "Dataset cartography", section 2.1), which is
    large where an example is easy.
    """
    return _mean(traces, "correct", lambda correct: 1 - correct.mean(0))


def forgetting(traces: Traces) -> Floats:
    """Number of forgetting events, [n_train]: checkpoints at which the example is wrong and was right at the
    one before (Toneva et al. 2019, section 3).

    An example that is never right counts as many events as there are checkpoints, more than any can have;
    theirs counts without end.
    """

    def of(correct: Floats) -> Floats:
        events = (correct[:-1] > correct[1:]).sum(0)
        return np.where(correct.any(0), events, len(correct)).astype(float)

    return _mean(traces, "correct", of)


def cumulative_loss(traces: Traces) -> Floats:
    """Mean of the loss over checkpoints, [n_train].

    The cumulative sample loss of Ravikumar et al. (2025, "Towards memorization estimation: fast, formal and
    free") is the sum, which is in the same order.
    """
    return _mean(traces, "loss", lambda loss: loss.mean(0))


def aum(traces: Traces) -> Floats:
    """Minus the mean of the margin over checkpoints, [n_train].

    The area under the margin of Pleiss et al. (2020, section 3) is the mean itself, which is small where a
    label is likely wrong. Their margin is the label's logit less the largest other; the one that traces have
    is less the log of the sum of the others' exponentials. The two are equal for two classes.
    """
    return _mean(traces, "margin", lambda margin: -margin.mean(0))


def final_margin(traces: Traces) -> Floats:
    """Minus the margin at the last checkpoint, [n_train]: the log odds of the label, as Carlini et al. (2022,
    "Membership inference attacks from first principles") scale a network's confidence."""
    return _mean(traces, "margin", lambda margin: -margin[-1])


def el2n(traces: Traces) -> Floats:
    """Length of the error p - y early in training, [n_train]: at the checkpoint closest to a tenth of the
    steps (Paul et al. 2021, "Deep learning on a data diet", section 2)."""
    at = _early(traces)
    return _mean(traces, "el2n", lambda length: length[at])


def grand(traces: Traces) -> Floats:
    """Length of the loss's gradient early in training, [n_train]: at the checkpoint where `el2n` is taken.

    GraNd of Paul et al. (2021, "Deep learning on a data diet", section 2) is of all weights; this is of the
    last layer's alone.
    """
    at = _early(traces)
    return _mean(traces, "gradient_norm", lambda length: length[at])


def confidence(traces: Traces) -> Floats:
    """1 less the mean probability of the label over checkpoints, [n_train].

    Confidence is that mean in Swayamdipta et al. (2020, "Dataset cartography", section 2.1), which is large
    where an example is easy.
    """
    return _mean(traces, "margin", lambda margin: 1 - expit(margin).mean(0))


def variability(traces: Traces) -> Floats:
    """Standard deviation of the label's probability over checkpoints, dividing by their number, [n_train]
    (Swayamdipta et al. 2020, "Dataset cartography", section 2.1).

    It is large for examples that they call ambiguous, and small for easy ones and for those that are never
    learned.
    """
    return _mean(traces, "margin", lambda margin: expit(margin).std(0))


def curvature(traces: Traces) -> Floats:
    """Mean over checkpoints of how much the loss bends around the example, [n_train] (Garg, Ravikumar & Roy
    2023, "Memorization through the lens of curvature of loss function around samples")."""
    return _mean(traces, "curvature", lambda bend: bend.mean(0))


def tracin(traces: Traces) -> Floats:
    """Self-influence by TracInCP, [n_train]: the sum over checkpoints of the learning rate times the squared
    length of the loss's gradient (Pruthi et al. 2020, section 3.3, with an example as its own test example).

    Theirs is of all weights, or of a chosen layer's; this is of the last layer's alone.
    """

    def of(length: Floats) -> Floats:
        influence: Floats = (traces.rates[:, None] * length**2).sum(0)
        return influence

    return _mean(traces, "gradient_norm", of)


PROXIES: dict[str, Callable[[Traces], Floats]] = {
    "learning_time": learning_time,
    "correctness": correctness,
    "forgetting": forgetting,
    "cumulative_loss": cumulative_loss,
    "aum": aum,
    "final_margin": final_margin,
    "el2n": el2n,
    "grand": grand,
    "confidence": confidence,
    "variability": variability,
    "curvature": curvature,
    "tracin": tracin,
}
NEEDS: dict[str, str] = {
    "curvature": "curvature",
    "grand": "gradient_norm",
    "tracin": "gradient_norm",
    "influence_function": "last_layer",
}
"""The observer that a proxy needs beside what every trace has, where it needs one."""


def _mean(traces: Traces, name: str, of: Callable[[Floats], NDArray[Any]]) -> Floats:
    """Mean over members of what `of` makes of a quantity of one member, [C, n_train] -> [n_train]."""
    values, last_loss = traces[name], traces["loss"][:, -1]
    each = np.full(traces.included.shape, np.nan)
    for m in np.flatnonzero(~np.isnan(last_loss).all(1)):
        each[m] = of(values[m].astype(np.float64, order="C"))
    return traces.mean(each)


def _early(traces: Traces) -> int:
    """Index of the checkpoint closest to a tenth of the steps, the earlier of two that are as close."""
    steps = traces.steps.astype(np.int64)
    return int(np.abs(EARLY * steps - steps[-1]).argmin())
