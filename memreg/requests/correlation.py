"""What may be asked of `memreg correlation`."""

from memreg.estimators.statistics import HEADLINES
from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg correlation`."""

    study: str
    """A study's name or run id; several, with commas between them."""
    statistic: str = HEADLINES[0]
    """Measure of memorization: memorized_fraction/0.05 .. 0.95, counted_fraction/0.05 .. 0.95, mean_score or
    gap; or of membership inference: privacy/tpr_0.001, privacy/tpr_0.01, privacy/auc,
    privacy/balanced_accuracy, of other attacks privacy/rmia/auc and so on, and where members kept queries
    privacy_queries/auc and so on."""
