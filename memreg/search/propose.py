"""The recipe to try next: that which most likely fills an open target.

An optimiser looks for one optimum and does not cover a range. Here a model of accuracy over recipes is
inverted: of many candidates, the one with the most probability within the bands of the open targets. Where
the model knows little, that is spread thin; so the search goes from what is sure to what is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from memreg.search.accuracy import Estimate, Scatter
from memreg.search.space import Point, Space
from memreg.search.surrogate import Floats, Surrogate, features
from memreg.search.targets import Targets
from memreg.search.trials import ExhaustedError

FEW = 4  # members after which a trial may be given up for want of hope
FIRST = 8  # points that cover the space before a model is worth its name
CANDIDATES = 2048
AROUND = 48  # variations of each of the points nearest to open targets
NEAREST = 8
Seen = tuple[Point, Estimate]


@dataclass(frozen=True)
class Tries:
    """What has been tried, and what came of it."""

    seen: Sequence[Seen]
    pending: Sequence[Point]
    """What is being tried."""


def propose(
    space: Space,
    sizes: Mapping[str, int],
    tries: Tries,
    targets: Targets,
    among: Sequence[float],
    seed: int,
) -> Point:
    """The next point. sizes: parameters of each model; among: the open targets.

    Raises `ExhaustedError` when there is none that is new.
    """
    seen, pending = tries.seen, tries.pending
    tried = [point for point, _ in seen] + list(pending)
    if len(seen) < FIRST:
        return _new(space.points(CANDIDATES, seed), tried)[0]
    x = features(space, [point for point, _ in seen], sizes)
    scatter = Scatter.of([e for _, e in seen])
    logits = np.array([e.logit for _, e in seen])
    variances = np.array([scatter.error(e) ** 2 for _, e in seen])
    model = Surrogate(x, logits, variances, seed)
    if pending:
        believed = model.predict(features(space, pending, sizes))[0]
        filled = targets.filled(expit(believed).tolist())
        among = [t for t in among if t not in filled] or among
    bands = logit(targets.bands(among))
    draw = seed + len(tried)
    candidates = space.points(CANDIDATES, draw)
    candidates += _variations(space, _closest(seen, logits, bands), np.random.default_rng([seed, draw]))
    candidates = _new(candidates, tried)
    mean, deviation = model.predict(features(space, candidates, sizes))
    deviation = np.hypot(deviation, np.sqrt(scatter.variance / FEW))
    return candidates[int(np.argmax(_within(mean, deviation, bands)))]


def _new(points: Sequence[Point], tried: Sequence[Point]) -> list[Point]:
    new = [point for point in points if point not in tried]
    if not new:
        raise ExhaustedError
    return new


def _within(mean: Floats, deviation: Floats, bands: Floats) -> Floats:
    """Probability of falling in any of the bands, [points]."""
    low, high = ((edge - mean[:, None]) / deviation[:, None] for edge in bands.T)
    return np.asarray((norm.cdf(high) - norm.cdf(low)).sum(1))


def _closest(seen: Sequence[Seen], logits: Floats, bands: Floats) -> list[Point]:
    distance = np.abs(logits[:, None] - bands.mean(1)).min(1)
    return [seen[i][0] for i in np.argsort(distance)[:NEAREST]]


def _variations(space: Space, points: Sequence[Point], rng: np.random.Generator) -> list[Point]:
    """Vary each point: move its ranges a little, and change a choice now and then."""
    result = []
    for point in points:
        for _ in range(AROUND):
            moved = dict(point)
            for name, values in space.choices.items():
                if rng.random() < 0.1:
                    moved[name] = values[rng.integers(len(values))]
            for name, r in space.ranges.items():
                if rng.random() < 0.6:
                    moved[name] = r.at(float(np.clip(r.place(point[name]) + rng.normal(0, 0.15), 0, 1)))
            result.append(moved)
    return result
