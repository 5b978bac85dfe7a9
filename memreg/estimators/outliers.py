"""Outliers by their maximum softmax probability (SPP, Hendrycks & Gimpel 2016; section 4.2)."""

import numpy as np
import pandas as pd

from memreg.estimators.counts import Floats, Mask

STRATA = (-1.0, 0.05, 0.25, 0.5, 0.75, 1.0)
"""Bounds of the score's strata."""


def spp_sums(included: Mask, p_max: Floats) -> tuple[Floats, Floats]:
    """Sum over members of an example's maximum softmax probability where it was excluded, and their number.

    included, p_max: [members, n]; results [n]. From members that included it, an outlier would look like any
    other example. Sums of shards add up.
    """
    out = ~included
    return np.where(out, p_max, 0).sum(0, dtype=np.float64), out.sum(0).astype(np.float64)


def spp_by_error(spp: Floats, error: Floats, score: Floats, count: int = 100) -> pd.DataFrame:
    """SPP of the targets with the largest and with the smallest error, all shapes [targets], NaN left out.

    A row for each of `largest` and `smallest`, first for all targets (stratum `all`: `count` of either,
    or half of the targets if there are fewer than twice as many), then for the larger and smaller half
    within each stratum of the true score: an outlier's true score is near 1 and cannot be
    overestimated, so across strata outliers have small errors by arithmetic. Columns: `stratum`,
    `error`, `targets`, `spp`, `sd`.
    """
    known = np.isfinite(spp) & np.isfinite(error) & np.isfinite(score)
    spp, error, score = spp[known], error[known], score[known]
    rows = _extremes("all", spp, error, count)
    stratum = np.digitize(score, STRATA[1:-1])
    for s in np.unique(stratum):
        own = stratum == s
        name = (
            f"score {max(STRATA[s], 0):g} to {min(STRATA[s + 1], 1):g}" if s else f"score below {STRATA[1]:g}"
        )
        rows += _extremes(name, spp[own], error[own], own.sum())
    return pd.DataFrame(rows)


def _extremes(stratum: str, spp: Floats, error: Floats, count: int) -> list[dict[str, object]]:
    count = min(count, len(error) // 2)
    order = np.argsort(-np.abs(error), kind="stable")
    ends = {"largest": order[:count], "smallest": order[len(order) - count :]}
    return [
        {
            "stratum": stratum,
            "error": name,
            "targets": len(rows),
            "spp": float(np.mean(spp[rows])) if len(rows) else float("nan"),
            "sd": float(np.std(spp[rows], ddof=1)) if len(rows) > 1 else float("nan"),
        }
        for name, rows in ends.items()
    ]
