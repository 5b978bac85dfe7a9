"""Scores from members of a design that a pilot lays out, as good as so many networks in all allow."""

from memreg.design import Candidates, Spread
from memreg.errors import MemregError
from memreg.estimators.counts import Floats
from memreg.registry import StoredCell
from memreg.scoring.candidates import candidate_scores, candidates_of
from memreg.scoring.estimated import gaussian_scores
from memreg.scoring.neighbours import apart_in

DESIGNED = ("spread", "candidates")
PILOT, FEWEST = 0.1, 30
"""Of the networks, and at least so many; the rest is laid out by what they find."""
CHOSEN = 0.4
"""Of the examples are candidates, generously: on planted sub-populations the largest score of any other was
.07, of those that 40 pilots chose."""
AUDITED = 40
R = {"spread": 0.9, "candidates": 0.75}
BLOCK, PILOTS = 20, 10
"""That the numbers of networks of the design, and of pilots, are multiples of."""


def split(networks: int) -> tuple[int, int] | None:
    """Networks of the pilot and of the design; None where they would not be whole blocks."""
    fewest = max(FEWEST, round(PILOT * networks))
    for pilot in range(-(-fewest // PILOTS) * PILOTS, networks, PILOTS):
        if (networks - pilot) % BLOCK == 0:
            return pilot, networks - pilot
    return None


def laid_out(name: str, pilot: StoredCell, seed: int) -> Spread | Candidates:
    """The design by a pilot of subsets. Raises `MemregError` where its members tell too little."""
    design = Spread(r=R[name], seed=seed) if name == "spread" else _candidates(pilot, seed)
    return design.model_validate({**design.model_dump(), "neighbours": apart_in(design, pilot)[0]})


def _candidates(pilot: StoredCell, seed: int) -> Candidates:
    n = pilot.n_train
    count = max(BLOCK, round(CHOSEN * n))
    if count >= n:
        raise MemregError(f"{pilot} has {n} examples: too few for candidates among them")
    chosen, audit = candidates_of(pilot, f"top:{count}", min(AUDITED, n - count), seed)
    return Candidates(r=R["candidates"], seed=seed, candidates=chosen, audit=audit)


def from_design(name: str, cell: StoredCell, pilot: StoredCell) -> Floats:
    """Scores of the training examples, [n_train], by the estimator that suits the design."""
    table = gaussian_scores(cell) if name == "spread" else candidate_scores(cell, pilot)
    return table["score"].to_numpy(float)
