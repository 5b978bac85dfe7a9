"""Which examples leave-one-out is run for."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreg import random
from memreg.errors import MemregError
from memreg.estimators.counts import Floats

CHOICE = 21  # stream of the design's seed
STRATA = (-1.0, 0.05, 0.25, 0.5, 0.75)
"""Lower ends of the bins of `stratified`: equally many targets from each, as far as they go."""


def needs_scores(text: str) -> bool:
    """Whether a choice of targets is one by score."""
    return text.startswith(("top:", "stratified:"))


def choose(text: str, n: int, scores: Floats | None, seed: int) -> tuple[int, ...]:
    """Targets, ascending: `top:K`, `random:K`, `stratified:K` (by score), or a file of indices.

    scores: shape [n], NaN where unknown; not needed for `random` and files. They must be estimated on members
    that no estimate for these targets uses afterwards: what is chosen for a high estimate has,
    on average, one that is too high.
    """
    kind, colon, number = text.partition(":")
    if not colon or kind not in ("top", "random", "stratified"):
        return _from_file(Path(text), n)
    if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
        raise MemregError(f"targets={text}: {kind}: must be followed by how many, as {kind}:200")
    count, shuffled = int(number), random.order(n, seed, CHOICE)
    scores = np.zeros(n) if kind == "random" or scores is None else scores
    shuffled = shuffled[~np.isnan(scores[shuffled])]
    if count > len(shuffled):
        raise MemregError(f"targets={text}: there are only {len(shuffled)} training examples to choose from")
    if kind == "top":
        shuffled = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    elif kind == "stratified":
        shuffled = _in_turn(shuffled, np.digitize(scores[shuffled], STRATA))
    return tuple(sorted(shuffled[:count].tolist()))


def _in_turn(examples: NDArray[np.int64], stratum: NDArray[np.int64]) -> NDArray[np.int64]:
    """One of each stratum after the other, as long as it has any left; within a stratum, order is kept."""
    place = np.empty(len(examples), np.int64)
    for s in np.unique(stratum):
        rows = np.flatnonzero(stratum == s)
        place[rows] = np.arange(len(rows))
    return examples[np.lexsort((stratum, place))]


def _from_file(path: Path, n: int) -> tuple[int, ...]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MemregError(
            f"targets={path}: neither top:K, random:K or stratified:K, nor a file that can be read ({error})"
        ) from error
    words = re.split(r"[\s,]+", text.strip())
    wrong = next((w for w in words if not re.fullmatch(r"[0-9]{1,9}", w) or int(w) >= n), None)
    if wrong is not None:
        raise MemregError(
            f"targets={path}: '{wrong[:20]}' is no training example: there must be whole numbers from 0 to "
            f"{n - 1}, with spaces, commas or line ends between"
        )
    return tuple(sorted({int(w) for w in words}))
