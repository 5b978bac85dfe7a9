"""`memreg memorization`: the memorization scores of one cell, from its stored predictions (section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import pandas as pd
from matplotlib.figure import Figure

from memreg.cell import Cell
from memreg.design import CHOSEN, Candidates, Design, of_chosen
from memreg.errors import MemregError
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.scores import score_table
from memreg.estimators.statistics import HEADLINE, bound_keys, fraction_key
from memreg.estimators.summary import summarise, summarise_scores
from memreg.estimators.threshold import THRESHOLDS
from memreg.registry import Registry, Store, StoredCell
from memreg.registry.tables import scores_name
from memreg.requests.memorization import Request
from memreg.scoring.by_name import RANKS, scores_by
from memreg.scoring.candidates import FEWEST, missed
from memreg.show import figures
from memreg.show.notes import Numbers, accuracies_in_words, answered, memorized_in_words
from memreg.wording import counted

SET = "memorized_set/0.25"


@dataclass(frozen=True)
class Memorization:
    """What is answered."""

    cell: Cell
    scores: pd.DataFrame
    """As scores.parquet."""
    values: dict[str, float]
    """A cell's metrics; and `memorized_set/0.25`, the share of examples whose score is above 0.25 with a
    false discovery rate of 5 %, where the scores have counts."""
    estimator: str | None = None
    """None is Feldman & Zhang's."""

    @property
    def _of_all(self) -> bool:
        """Whether means over the scores are means over the training examples."""
        return _of_all(self.cell.design, self.scores, self.estimator)

    @property
    def cells(self) -> list[str]:
        return [self.cell.hash]

    def metrics(self) -> Mapping[str, float]:
        return self.values

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {scores_name(self.estimator): self.scores}

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.cell.recipe.model} on {self.cell.dataset}"
        return {"scores": figures.score_distribution(self.scores, title)}

    def in_short(self) -> str:
        m = self.values
        by = f", by {self.estimator}" if self.estimator else ""
        members = counted(m["members"], "member")
        what = f"{self.cell.recipe.model} on {self.cell.dataset}, {members}{by}: "
        width = (self.scores.high - self.scores.low).median()
        parts = [
            f"{what}{self._of_examples()}",
            f"Half of the scores' 95 % intervals are wider than {width:.2f}.",
            self._of_peers(),
            self._of_candidates(),
        ]
        return " ".join(filter(None, parts))

    def _of_examples(self) -> str:
        n = len(self.scores)
        if not self._of_all:
            scored = int(self.scores["score"].notna().sum())
            why = of_chosen(self.cell.design.kind)
            return f"scores of {scored:,} of {n:,} training examples, and no mean or share of them: {why}."
        if self.estimator in RANKS:
            return (
                f"scores of {n:,} training examples, to rank them by; no mean and no share above a threshold "
                "is to be taken of them."
            )
        return memorized_in_words(self.values)

    def in_words(self) -> str:
        width = self.scores.high - self.scores.low
        said = [
            "" if self.estimator in RANKS or not self._of_all else accuracies_in_words(self.values),
            f"95 % intervals are {width.median():.2f} wide in the median, {width.max():.2f} at most.",
        ]
        return answered(self.in_short(), self._numbers(), " ".join(filter(None, said)))

    def _numbers(self) -> Numbers:
        m = self.values
        found = [(f"{m['members']:.0f}", "members, the networks that the scores are from")]
        width = (self.scores.high - self.scores.low).median()
        found.append((f"{width:.2f}", "median width of the 95 % intervals of single scores"))
        if not isnan(m.get("mean_score", float("nan"))):
            found.insert(
                0, (f"{m['mean_score']:.3f}", f"mean score of {len(self.scores):,} training examples")
            )
        share = m.get(fraction_key(HEADLINE), float("nan"))
        if share == share:
            low, high = (m[key] for key in bound_keys(HEADLINE))
            what = f"of the training examples are memorized: true score {HEADLINE} or more"
            found.insert(0, (f"{share:.0%} [{low:.0%}, {high:.0%}]", what))
        return found

    def _of_peers(self) -> str:
        if "detectable" not in self.values:
            return ""
        least = self.values["detectable"]
        takes = self.values["members"] * (least / HEADLINE) ** 2
        more = f"; about {takes:,.0f} members would find one of {HEADLINE}" if least > HEADLINE else ""
        if not self.scores["peers"].any():
            return (
                "No peer was found, so these are Feldman & Zhang's scores: one whose effect on accuracy is "
                f"less than {least:.2f} (median) would not be{more}."
            )
        return (
            f"{(self.scores['peers'] > 0).mean():.1%} of the examples have a peer that was found; one whose "
            f"effect on accuracy is less than {least:.2f} (median) would not be{more}."
        )

    def _of_candidates(self) -> str:
        if "missed" not in self.values:
            return ""
        m, design = self.values, self.cell.design
        audited = len(getattr(design, "audit", ()))
        if m["missed"] != m["missed"]:
            return (
                f"An audit of {audited} says nothing of examples that are no candidates: it takes {FEWEST}."
            )
        ends = f"[{m['missed_low']:.1%}, {m['missed_high']:.1%}]"
        return (
            f"{len(self.scores) - m['candidates']:,.0f} examples are no candidates; but for the audited ones "
            f"they score 0. Of those that score {HEADLINE} or more the candidates miss {m['missed']:.1%} "
            f"{ends}, as {audited} random others say."
        )


def run(request: Request, registry: Registry) -> Memorization:
    """Recompute a cell's scores; by another estimator they are also kept beside the cell's own."""
    cell = registry.cell(request.cell)
    result = rescored(cell)
    if request.estimator is None:
        if request.neighbours is not None:
            raise MemregError("neighbours is for estimator=peers or candidates: leave it out, or name one")
        return result
    result = by_estimator(result, request.estimator, scores_by(request.estimator, cell, request.neighbours))
    writer = Store(registry.tracking_uri).run(cell.run_id)
    writer.artifacts.put(scores_name(request.estimator), result.scores.to_parquet)
    return result


def rescored(cell: StoredCell) -> Memorization:
    """Feldman & Zhang's scores and aggregates of a stored cell.

    Raises `MemregError` where no example is both included and left out.
    """
    sums = cell.tally()
    table = score_table(sums.total, cell.given_labels)
    if table["score"].isna().all():
        raise MemregError(
            f"{cell} has no scores: no example of it is both included and left out; name one of subsets"
        )
    design = cell.cell.design
    return Memorization(cell.cell, table, summarise(sums, design.kind in CHOSEN) | _in_set(table, design))


def by_estimator(result: Memorization, estimator: str, table: pd.DataFrame) -> Memorization:
    """The same cell with the scores of an estimator, which are counted as they are.

    `fallback` is the share of examples for which that fell back, `detectable` the median over examples.
    """
    summary = summarise_scores(table["score"].to_numpy())
    own = {SET, *map(fraction_key, THRESHOLDS), *bound_keys(HEADLINE), *summary}
    metrics = {key: value for key, value in result.values.items() if key not in own}
    design = result.cell.design
    if estimator not in RANKS and _of_all(design, table, estimator):
        metrics |= summary
    if "included_count" in table:
        metrics |= _in_set(table, design)
    if "fallback" in table:
        metrics["fallback"] = float(table["fallback"].mean())
    if "detectable" in table:
        metrics["detectable"] = float(table["detectable"].median())
    if estimator == "candidates" and isinstance(design, Candidates):
        metrics["candidates"] = len(design.candidates)
        ends = missed(table, design, HEADLINE)
        metrics |= dict(zip(("missed", "missed_low", "missed_high"), ends, strict=True))
    return Memorization(result.cell, table, metrics, estimator)


def _of_all(design: Design, table: pd.DataFrame, estimator: str | None) -> bool:
    """Whether a mean over the scores that there are is one over the training examples."""
    whole = estimator is not None and bool(table["score"].notna().all())
    return whole or design.kind not in CHOSEN


def _in_set(table: pd.DataFrame, design: Design) -> dict[str, float]:
    return {} if design.kind in CHOSEN else {SET: float(memorized_set(table, HEADLINE).mean())}
