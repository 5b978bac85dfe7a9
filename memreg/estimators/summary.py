"""A cell's aggregates: one number each, as MLflow and the correlation want them."""

import numpy as np

from memreg.estimators import mixture
from memreg.estimators.counts import Counts, Floats, Tally
from memreg.estimators.scores import counted_fraction
from memreg.estimators.statistics import HEADLINE, OF_LEFT_OUT, bound_keys, counted_key, fraction_key
from memreg.estimators.threshold import THRESHOLDS


def summarise(tally: Tally, chosen: bool = False) -> dict[str, float]:
    """`members`, mean accuracies over members and examples, `mean_score`, memorized and counted fractions.

    chosen: whether members leave out chosen examples alone. NaN for what the design cannot tell, as the score
    of an example that no member excluded, or a mean over examples that were chosen; and for memorized
    fractions where members are too few.
    """
    counts = tally.total
    members = int(tally.members.sum())
    found = {
        "members": members,
        "test_accuracy": _share(tally.test_correct.sum(), members),
        "included_accuracy": _share(counts.included_correct.sum(), counts.included.sum()),
        "excluded_accuracy": _share(counts.excluded_correct.sum(), counts.excluded.sum()),
        **summarise_scores(counts.score),
        **memorized_fractions(counts),
    }
    return found | {key: float("nan") for key in found if chosen and key.startswith(OF_LEFT_OUT)}


def summarise_scores(score: Floats) -> dict[str, float]:
    """`mean_score` and counted fractions, by whatever estimator; score: [n_train], NaN for none."""
    return {
        "mean_score": float(np.nanmean(score)) if not np.isnan(score).all() else float("nan"),
        **{counted_key(t): counted_fraction(score, t) for t in THRESHOLDS},
    }


def memorized_fractions(counts: Counts) -> dict[str, float]:
    """Share of the examples whose true score is at or above each threshold, and the 95 % interval of the
    headline's, as `memorized_fraction_low/0.25` and `memorized_fraction_high/0.25`; see `mixture`.

    counts: shapes [n_train]. NaN where `mixture.enough` says that members are too few.
    """
    names = [*map(fraction_key, THRESHOLDS), *bound_keys(HEADLINE)]
    if not mixture.enough(counts):
        return dict.fromkeys(names, float("nan"))
    table = mixture.table(counts)
    weights = mixture.fit(table)
    ends = mixture.share_intervals(table, weights, np.array([HEADLINE]))
    values = [*mixture.shares(weights, np.array(THRESHOLDS)), *(end[0] for end in ends)]
    return dict(zip(names, map(float, values), strict=True))


def _share(correct: int, of: int) -> float:
    return float(correct / of) if of else float("nan")
