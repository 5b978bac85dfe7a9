"""The statistics of a cell's scores, by the names that MLflow has them under."""

from typing import NamedTuple

from memreg.estimators.threshold import THRESHOLDS

HEADLINE = 0.25
"""Threshold of the memorized fraction that is given with its interval."""


def fraction_key(threshold: float) -> str:
    """Metric name of the memorized fraction at a threshold."""
    return f"memorized_fraction/{threshold:.2f}"


def counted_key(threshold: float) -> str:
    """Metric name of the share of noisy scores at or above a threshold."""
    return f"counted_fraction/{threshold:.2f}"


def bound_keys(threshold: float) -> tuple[str, str]:
    """Metric names of the ends of a memorized fraction's interval."""
    return f"memorized_fraction_low/{threshold:.2f}", f"memorized_fraction_high/{threshold:.2f}"


HEADLINES = (fraction_key(HEADLINE), "mean_score")
"""What is said first of a correlation."""
STATISTICS = ("mean_score", *map(fraction_key, THRESHOLDS), *map(counted_key, THRESHOLDS))
"""What is correlated with test accuracy."""

ATTACKS = {
    "online": "LiRA, online",
    "offline": "LiRA, offline",
    "rmia": "RMIA",
    "threshold": "loss threshold",
}
"""Membership inference (see `attacks`), in words; the last is the baseline."""
RATES = (0.001, 0.01)
"""False-positive rates at which the true-positive rate is reported."""


def rate_key(rate: float) -> str:
    """The name of the true-positive rate at a false-positive rate."""
    return f"tpr_{rate:g}"


TOLD = ("auc", "balanced_accuracy", *map(rate_key, RATES))
"""What is said of an attack."""
OF_PRIVACY, OF_QUERIES = "privacy/", "privacy_queries/"
"""What the metric names of attacks begin with, by the image and by views of it too."""
OF_LEFT_OUT = (
    "excluded_accuracy",
    "mean_score",
    "memorized_fraction",
    "counted_fraction",
    OF_PRIVACY,
    OF_QUERIES,
)
"""What names of metrics begin with that are of examples which some members leave out."""


def privacy_key(attack: str, name: str, beginning: str = OF_PRIVACY) -> str:
    """Metric name of what an attack achieves: `privacy/auc` by LiRA online, `privacy/rmia/auc` by another."""
    return beginning + (name if attack == "online" else f"{attack}/{name}")


class Achieved(NamedTuple):
    """A statistic of privacy."""

    attack: str
    told: str
    """What of TOLD is said of it."""
    queries: bool
    """Whether views of the images are queries too."""


PRIVACY = {
    privacy_key(attack, told, beginning): Achieved(attack, told, beginning == OF_QUERIES)
    for beginning in (OF_PRIVACY, OF_QUERIES)
    for attack in ATTACKS
    for told in TOLD
    if (beginning, attack) != (OF_QUERIES, "rmia")  # there are no views of the test examples that it takes
}
"""Statistics of privacy by metric name."""


def privacy_in_words(statistic: str) -> str:
    """One of PRIVACY within a sentence."""
    attack, name, queries = PRIVACY[statistic]
    rates = {rate_key(rate): f"true-positive rate at a false-positive rate of {rate:.1%}" for rate in RATES}
    what = rates.get(name, {"auc": "AUC"}.get(name, name.replace("_", " ")))
    views = ", by views of the images too" if queries else ""
    return f"membership inference's {what} ({ATTACKS[attack]}{views})"
