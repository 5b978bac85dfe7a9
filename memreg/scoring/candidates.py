"""Candidates for memorization: who they are, and scores of all examples from members that leave them out."""

import numpy as np
import pandas as pd
from scipy.stats import beta

from memreg import random
from memreg.design import Candidates
from memreg.errors import MemregError
from memreg.estimators.coinfluence import find_alike
from memreg.estimators.counts import half
from memreg.estimators.peers import in_company
from memreg.estimators.threshold import reaches
from memreg.registry import StoredCell
from memreg.scoring.estimated import gaussian_of, gaussian_scores, odds_of, shrunk_scores
from memreg.scoring.targets import choose

AUDIT = 31  # stream of the design's seed
FEWEST = 20
"""Examples of an audit from which it says anything of the others."""


def candidates_of(
    pilot: StoredCell, text: str, audit: int, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Candidates, and a random sample of the other examples, both ascending.

    text: `top:K` by the pilot's shrunk scores, which rank well from few members, `random:K`, `stratified:K`,
    or a file of indices.
    """
    n = pilot.n_train
    scores = shrunk_scores(pilot)["score"].to_numpy() if text.startswith(("top:", "stratified:")) else None
    chosen = choose(text, n, scores, seed)
    order = random.order(n, seed, AUDIT)
    others = order[~np.isin(order, chosen)].tolist()
    if audit > len(others):
        raise MemregError(f"audit={audit}: there are only {len(others)} examples that are no candidates")
    return chosen, tuple(sorted(others[:audit]))


def candidate_scores(cell: StoredCell, pilot: StoredCell | None = None) -> pd.DataFrame:
    """Scores of all training examples from a cell of design candidates.

    Those that members leave out have the score of `gaussian`, from members that include the example's peers,
    as `peers` does: who they are is found by log odds in the other half of the members, and in the pilot's,
    which are of design subsets. (What the design keeps apart needs none; it does not keep apart larger
    groups, nor what the pilot did not find.)

    The others have score 0, and an interval from the least to the largest score of the a audited ones, which
    holds the score of one more such example with probability (a - 1) / (a + 1), whatever their distribution;
    `audited` is a for them, 0 for the rest. They have no score where fewer than FEWEST are audited.
    """
    design = cell.cell.design
    if not isinstance(design, Candidates):
        raise MemregError(f"{cell} is of design {design.kind}, and not candidates")
    table = _in_company(cell, pilot).assign(audited=0)
    audit = table.loc[list(design.audit)]
    others = ~table["example"].isin(design.dealt)
    if len(audit) >= FEWEST:
        found = audit["score"]
        table.loc[others, "score"] = 0.0
        table.loc[others, "standard_error"] = float(np.sqrt((found**2).mean()))
        table.loc[others, "low"] = min(float(found.min()), 0.0)
        table.loc[others, "high"] = max(float(found.max()), 0.0)
        table.loc[others, "audited"] = len(audit)
    return table


def _in_company(cell: StoredCell, pilot: StoredCell | None) -> pd.DataFrame:
    members = odds_of(cell)
    block = np.array([cell.cell.design.block(int(m)) for m in members.member], np.int64)
    second = half(block) == 1
    if second.all() or not second.any():
        return gaussian_scores(cell)
    pilots = [] if pilot is None else [odds_of(pilot)]
    first_peers, second_peers = (
        find_alike(
            [*((p.included, p.odds) for p in pilots), (members.included[rows], members.odds[rows])],
            cell.train_labels,
        )
        for rows in (~second, second)
    )
    company = in_company(members.included, second, (first_peers, second_peers))
    return gaussian_of(cell, members, company)


def missed(table: pd.DataFrame, design: Candidates, threshold: float) -> tuple[float, float, float]:
    """Share of the examples at or above a threshold that are no candidates, with its 95 % interval.

    The share of such examples among those that are no candidates is that among the audited (Clopper &
    Pearson); their noise makes it too large rather than too small. NaN without an audit.
    """
    score = table["score"].to_numpy()
    a, rest = len(design.audit), len(table) - len(design.candidates)
    if a < FEWEST:
        return float("nan"), float("nan"), float("nan")
    hits = int(np.sum(reaches(score[list(design.audit)], threshold)))
    found = int(np.sum(reaches(score[list(design.candidates)], threshold)))
    low = float(beta.ppf(0.025, hits, a - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, a - hits)) if hits < a else 1.0
    if a == rest:
        low = high = hits / a
    shares = [rest * share for share in (hits / a, low, high)]
    share, least, most = (each / (each + found) if each + found else 0.0 for each in shares)
    return share, least, most
