"""A cell's aggregates: one number each, as MLflow and the correlation want them."""

import numpy as np

from memreg.estimators.counts import Floats, Tally
from memreg.estimators.scores import THRESHOLDS, memorized_fraction


def fraction_key(threshold: float) -> str:
    """Metric name of the memorized fraction at a threshold."""
    return f"memorized_fraction/{threshold:.2f}"


STATISTICS = ("mean_score", *map(fraction_key, THRESHOLDS))
"""What is correlated with test accuracy."""


def summarise(tally: Tally) -> dict[str, float]:
    """`members`, mean accuracies over members and examples, `mean_score`, memorized fractions.

    NaN for what the design cannot tell, as the score of an example that no member excluded.
    """
    counts = tally.total
    score = counts.score
    members = int(tally.members.sum())
    return {
        "members": members,
        "test_accuracy": _share(tally.test_correct.sum(), members),
        "included_accuracy": _share(counts.included_correct.sum(), counts.included.sum()),
        "excluded_accuracy": _share(counts.excluded_correct.sum(), counts.excluded.sum()),
        **summarise_scores(score),
    }


def summarise_scores(score: Floats) -> dict[str, float]:
    """`mean_score` and memorized fractions, by whatever estimator; score: [n_train], NaN for none."""
    return {
        "mean_score": float(np.nanmean(score)) if not np.isnan(score).all() else float("nan"),
        **{fraction_key(t): memorized_fraction(score, t) for t in THRESHOLDS},
    }


def _share(correct: int, of: int) -> float:
    return float(correct / of) if of else float("nan")
