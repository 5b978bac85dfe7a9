"""The statistics of a cell's scores, by the names that MLflow has them under."""

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
