"""Scores from members of a design that a pilot lays out, as good as so many networks in all allow."""

from memreg.design import Candidates, Spread
from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.registry import StoredCell
from memreg.scoring.candidates import candidate_scores, candidates_of
from memreg.scoring.estimated import gaussian_scores
from memreg.scoring.neighbours import found_in

DESIGNED = ("spread", "candidates")
PILOT = 0.3
"""Of the networks; the rest is laid out by what they find."""
CHOSEN = 0.3
"""Of the examples are candidates, generously: on digits with planted sub-populations the largest score of any
other was .03."""
AUDITED = 40
FOLDS = 10
"""That the numbers of both kinds of networks are multiples of."""


def split(networks: int) -> tuple[int, int] | None:
    """Networks of the pilot and of the design; None where they would not be whole blocks."""
    pilot = round(PILOT * networks)
    return (pilot, networks - pilot) if pilot % FOLDS == 0 and (networks - pilot) % FOLDS == 0 else None


def laid_out(name: str, pilot: StoredCell, seed: int) -> Spread | Candidates:
    """The design by a pilot of subsets. Raises `MemregError` where its members tell too little."""
    neighbours = found_in(pilot)
    if name == "spread":
        return Spread(r=0.9, seed=seed, neighbours=neighbours)
    n = pilot.n_train
    count = max(FOLDS, round(CHOSEN * n))
    if count >= n:
        raise MemregError(f"{pilot} has {n} examples: too few for candidates among them")
    chosen, audit = candidates_of(pilot, f"top:{count}", min(AUDITED, n - count), seed)
    return Candidates(r=0.8, seed=seed, candidates=chosen, audit=audit, neighbours=neighbours)


def from_design(name: str, cell: StoredCell, pilot: StoredCell) -> Floats:
    """Scores of the training examples, [n_train], by the estimator that suits the design."""
    table = gaussian_scores(cell) if name == "spread" else candidate_scores(cell, pilot)
    return table["score"].to_numpy(float)
