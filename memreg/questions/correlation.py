"""`memreg correlation`: how memorization and test accuracy go together over the cells of studies.

Section 5 of the paper; `memreg corr_grid` and `memreg search` end with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.design import CHOSEN
from memreg.errors import MemregError
from memreg.estimators.counts import Tally
from memreg.estimators.measured import Extra, measure
from memreg.estimators.membership import curves
from memreg.estimators.over_cells import (
    CORRELATED,
    FEWEST,
    Correlation,
    correlations,
    shapes_table,
)
from memreg.estimators.statistics import ATTACKS, HEADLINES, PRIVACY
from memreg.models.family import family
from memreg.registry import Registry, StoredCell
from memreg.requests.correlation import Request
from memreg.scoring.privacy import attack
from memreg.show import figures
from memreg.show.conclusions import in_words
from memreg.show.headline import in_short
from memreg.show.notes import left_out


@dataclass(frozen=True)
class Correlated:
    """What is answered."""

    result: Correlation
    left_out: str = ""
    """A warning of cells that the study has and the result has not, else ""."""

    @property
    def cells(self) -> list[str]:
        return list(self.result.cells["cell"])

    def in_words(self) -> str:
        return in_words(self.result, self.in_short())

    def in_short(self) -> str:
        return "\n".join(filter(None, [in_short(self.result), self.left_out]))

    def metrics(self) -> Mapping[str, float]:
        """r of the headlines and of the statistic, pooled and within data sets, with their intervals."""
        found: dict[str, float] = {}
        groups = {"pearson": self.result.pooled, "pearson_within": self.result.fixed_effects}
        for group, rs in groups.items():
            for key in dict.fromkeys((*HEADLINES, self.result.statistic)):
                if key in rs and np.isfinite((r := rs[key]).r):
                    name = f"{group}/{key.replace('/', '_')}"
                    found |= {name: r.r, f"{name}_low": r.low, f"{name}_high": r.high}
        return found

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        tables: dict[str, pd.DataFrame | str] = {"correlation.json": self.result.to_json()}
        if self.result.trajectories:
            tables["trajectories.parquet"] = shapes_table(self.result.trajectories)
        return tables

    def figures(self) -> Mapping[str, Figure]:
        result, statistic = self.result, self.result.statistic
        drawn = {
            "correlation": figures.correlation(
                result.cells, statistic, result.pooled[statistic], result.fixed_effects.get(statistic)
            ),
            "thresholds": figures.thresholds(result.pooled, result.fixed_effects),
        }
        if statistic in result.identities:
            own = result.identities[statistic]
            drawn["identity"] = figures.identity(result.cells, statistic, own)
        if result.trajectories:
            drawn["trajectories"] = figures.trajectories(result.trajectories)
        return drawn


def run(request: Request, registry: Registry) -> Correlated:
    """Recompute the correlation of one study, or of several together, from stored predictions.

    Raises `MemregError` for an unknown statistic, and where fewer than 3 cells have scores and test accuracy.
    """
    if request.statistic not in (*CORRELATED, *PRIVACY):
        raise MemregError(
            f"unknown statistic '{request.statistic}': one of gap, mean_score, memorized_fraction/0.05 .. "
            "memorized_fraction/0.95, counted_fraction/0.05 .. counted_fraction/0.95, "
            f"{', '.join(PRIVACY)}"
        )
    studies = [name.strip() for name in request.study.split(",")]
    table = pd.concat([registry.cells(name) for name in studies]).drop_duplicates("cell")
    if (both := len(with_both(table))) < FEWEST:
        raise MemregError(
            f"study {', '.join(studies)} has {both} cells with scores and test accuracy: a correlation needs "
            f"at least {FEWEST}"
        )
    return _over(registry, table, request.statistic)


def of_cells(registry: Registry, run_ids: Iterable[str], statistic: str = HEADLINES[0]) -> Correlated:
    """The correlation over the cells of these runs, one cell in memory at a time."""

    def tallies() -> Iterator[tuple[dict[str, str], Tally, dict[str, Extra]]]:
        for stored in registry.cells_by_run(run_ids):
            cell = stored.cell
            identity = {
                "run_id": stored.run_id,
                "cell": stored.hash,
                "dataset": cell.dataset,
                "model": cell.recipe.model,
                "family": family(cell.recipe.model),
            }
            if statistic in PRIVACY:
                sums, extra = _of_privacy(stored, statistic)
                yield identity, sums, {statistic: extra}
            else:
                yield identity, stored.tally(blocks=True), {}

    return Correlated(correlations(measure(tallies()), statistic))


def _of_privacy(cell: StoredCell, statistic: str) -> tuple[Tally, Extra]:
    """A cell's tally by blocks, and what an attack achieves on it.

    Raises `MemregError` where its members cannot be attacked.
    """
    by, name, queries = PRIVACY[statistic]
    margins, scores = attack(cell, (by,), queries)
    if by not in scores.scores:
        raise MemregError(
            f"{cell} has no margins of test examples, which {ATTACKS[by]} takes: name another statistic"
        )
    curve = curves(margins.known, scores)[by]
    value = curve.summary()[name]
    return margins.sums, Extra(value, curve.without(lambda one: np.asarray(one.value(name))))


def with_both(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of cells that have a mean score and a test accuracy."""
    return table.reindex(columns=["mean_score", "test_accuracy"]).dropna()


def correlated_where_possible(registry: Registry, table: pd.DataFrame) -> Correlated | None:
    """The correlation over the cells of a study that has just been trained; None where fewer than 3 of them
    have scores and test accuracy. table: as cells.parquet."""
    if len(with_both(table)) < FEWEST:
        return None
    return _over(registry, table)


def _over(registry: Registry, table: pd.DataFrame, statistic: str = HEADLINES[0]) -> Correlated:
    """The correlation over the cells with a test accuracy, but for those of designs in CHOSEN."""
    comparable = table["test_accuracy"].notna() & ~table["design"].isin(CHOSEN)
    return replace(of_cells(registry, table[comparable]["run_id"], statistic), left_out=left_out(table))
