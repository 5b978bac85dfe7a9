"""`memreg marginal_utility`: what removing memorized examples does to test accuracy (sections 3.3 and 4.3).

Members are trained on everything, and on everything but what each arm leaves out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memreg.design import All, Design, Removal
from memreg.errors import MemregError
from memreg.estimators.arms import ARMS, Arm, arms, removed_per_class
from memreg.estimators.counts import Mask
from memreg.estimators.duplicates import has_near_duplicate
from memreg.estimators.influence import SUBSTANTIAL, members_for, strong_pairs
from memreg.estimators.marginal_utility import Right, compare_arms, knee
from memreg.estimators.memorized_set import memorized_set
from memreg.estimators.statistics import HEADLINE
from memreg.estimators.threshold import reaches
from memreg.grid import Grid
from memreg.questions.memorization import rescored
from memreg.registry import Registry, StoredCell
from memreg.registry.stored_cell import COUNTED
from memreg.requests.marginal_utility import Request
from memreg.scoring.by_name import ESTIMATORS, RANKS, scores_by
from memreg.scoring.neighbours import neighbours_of
from memreg.scoring.outcomes import outcomes
from memreg.show import figures
from memreg.show.notes import WARNING, Numbers, answered
from memreg.studies.progress import Progress
from memreg.studies.resolved import Resolved, resolve_like
from memreg.studies.study import Outcome, Where, open_study
from memreg.user_code import is_code

AUTO = "auto"
INTERVALS = (
    "Intervals in [] are over networks, on these test images; those in () are over networks and test images."
)


@dataclass(frozen=True)
class Schedule:
    """What is going to be compared."""

    source: StoredCell
    """Whose scores chose."""
    arms: Sequence[Arm]
    resolved: Sequence[Resolved]
    """Of the cells to train; the first is on everything."""
    scored: Mapping[float, Mask]
    """By threshold, the examples that score it."""
    chosen: str
    """How the thresholds were chosen; empty where the user did."""

    @property
    def everything(self) -> str:
        """Hash of the cell without removals."""
        return self.resolved[0].cell.hash


@dataclass(frozen=True)
class Affected:
    """Test images of the sub-populations that lose members."""

    images: Mapping[float, Mask]
    """By threshold, shape [n_test]."""
    left_out: str = ""
    """Why they are not known; empty where they are."""


@dataclass(frozen=True)
class MarginalUtility:
    """What is answered."""

    table: pd.DataFrame
    """A row per threshold, arm and kind of test images, in points of accuracy; see docs/registry.md."""
    per_class: pd.DataFrame
    """`threshold`, `arm`, `label`, `removed`: examples of each class that an arm leaves out."""
    margin: float
    chosen: str
    """How the thresholds were chosen; empty where the user did."""
    left_out: str
    """Why there are no rows of sub-populations; empty where there are."""
    unverified: Sequence[float]
    """Thresholds at which the arm verified leaves out the very examples of the arm scored."""
    cells: Sequence[str]

    def metrics(self) -> Mapping[str, float]:
        return {
            f"{key}/{row['arm']}/{row['threshold']:.2f}": row[key]
            for row in self.table.query("images == 'all'").to_dict("records")
            for key in ("difference", "difference_low", "difference_high")
        }

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {"marginal_utility.parquet": self.table, "removed.parquet": self.per_class}

    def figures(self) -> Mapping[str, Figure]:
        return {"marginal_utility": figures.marginal_utility(self.table, self.margin)}

    def in_short(self) -> str:
        notes = [*([self.chosen] if self.chosen else []), *self._of_unverified(), INTERVALS]
        return f"{self._answer()}\n{' '.join(notes)}"

    def _answer(self) -> str:
        """What leaving out the scored examples does, and what leaving out as many at random does."""
        scored, random = self._of_all("scored"), self._of_all("random")
        if len(scored) == 1:
            return f"{_of_scored(scored[0], self.margin)}{_at_random(random)}."
        groups: dict[str, list[Mapping[Any, Any]]] = {}
        for row in scored:
            groups.setdefault(_verdict(row, self.margin), []).append(row)
        said = [
            f"{verdict} at {_listed(row['threshold'] for row in rows)} ({_points_of(rows)})"
            for verdict, rows in groups.items()
        ]
        return (
            "Test accuracy without the examples that score a threshold or more, less that with all: "
            f"{'; '.join(said)}{_at_random(random)}."
        )

    def _of_all(self, arm: str) -> list[dict[Any, Any]]:
        """An arm's rows on all test images."""
        return self.table[self.table["images"].eq("all") & self.table["arm"].eq(arm)].to_dict("records")

    def _numbers(self) -> Numbers:
        """At the headline's threshold where it is one of them, else at the lowest."""
        scored = self._of_all("scored")
        at = next((row for row in scored if row["threshold"] == HEADLINE), scored[0])
        random = [row for row in self._of_all("random") if row["threshold"] == at["threshold"]]
        what = "change in test accuracy without"
        found = [(_points(at, both=False), f"{what} the scored examples")]
        found += [(_points(row, both=False), f"{what} as many at random") for row in random]
        share = f"training examples are left out: those that score {at['threshold']:g} or more"
        found.append((f"{at['removed']:,.0f}", share))
        return [*found, (f"{at['members']:.0f}", "networks trained without them")]

    def _of_unverified(self) -> list[str]:
        if not self.unverified:
            return []
        return [
            f"At {_listed(self.unverified)} the arm verified leaves out the same examples as the arm scored: "
            "the estimator that verifies changed no choice, and the two arms are one experiment."
        ]

    def in_words(self) -> str:
        lines = []
        for _, rows in self.table.groupby("threshold"):
            lines.append(_sentence(rows, self.margin))
        if (images := self.table["images"].eq("distinct")).any():
            share = 1 - self.table.loc[images, "test_images"].iloc[0] / self.table["test_images"].max()
            lines.append(
                f"{share:.0%} of the test images have a near duplicate in training; the table's rows "
                "`distinct` are without them."
            )
        lines.append(INTERVALS)
        if self.left_out:
            lines.append(self.left_out)
        warnings = [f"{WARNING}: {line[0].lower()}{line[1:]}" for line in self._of_unverified()]
        short = [self._answer(), *([self.chosen] if self.chosen else []), *warnings]
        return answered("\n".join(short), self._numbers(), "\n\n".join(lines))


def run(request: Request, where: Where, progress: Progress) -> Outcome[MarginalUtility]:
    """Train what is missing, compare, and log it to the study's run.

    Raises `MemregError` before anything is written if the input is at fault.
    """
    scheduled = schedule(request, Registry(where.tracking_uri), where.data_dir)
    dataset = scheduled.resolved[0].dataset
    distinct = ~has_near_duplicate(dataset.test_images, dataset.train_images)
    grid = Grid("marginal_utility", "Members on everything, and without what each arm leaves out.", ())
    with open_study(grid, scheduled.resolved, request.study, where, progress) as opened:
        opened.train()
        result = compared(request, scheduled, opened.registry, distinct)
        return opened.conclude(opened.table(), result)


def schedule(request: Request, registry: Registry, data_dir: Path | None = None) -> Schedule:
    """What each arm leaves out, and the cells to train."""
    source = registry.cell(request.cell)
    scores = rescored(source).scores
    verified = _verified(request, source)
    marked, chosen = _marked(request, scores)
    groups = neighbours_of(request.neighbours or request.cell, registry.tracking_uri, source)
    cells: dict[Design, int] = {All(seed=request.design_seed): request.members}
    chosen_pools = []
    for threshold, scored in marked.items():
        also = scored & _above(verified, threshold, by_set=bool(chosen))
        found = arms(scored, also, source.train_labels, groups, f"threshold {threshold:g}")
        for name, pools in found.items():
            design = Removal(seed=request.design_seed, pools=pools)
            cells[design] = request.members
            chosen_pools.append((threshold, name, design))
    resolved = resolve_like(source.cell, list(cells.items()), data_dir, request.dataset, request.code)
    hashes = {item.cell.design: item.cell.hash for item in resolved}
    trained = [Arm(threshold, name, design.pools, hashes[design]) for threshold, name, design in chosen_pools]
    return Schedule(source, trained, resolved, marked, chosen)


def compared(request: Request, scheduled: Schedule, registry: Registry, distinct: Mask) -> MarginalUtility:
    """Compare the first `request.members` members of each arm with those on everything.

    distinct: test images without a near duplicate in training, [n_test].
    """
    hashes = list(dict.fromkeys([scheduled.everything, *(arm.cell for arm in scheduled.arms)]))
    right = {hash_: _right(registry.cell(hash_), request.members) for hash_ in hashes}
    lost = affected(scheduled.source, scheduled.scored)
    masks = {
        "all": [np.ones_like(distinct) for _ in scheduled.arms],
        "distinct": [distinct for _ in scheduled.arms],
        "sub-populations": [lost.images[arm.threshold] for arm in scheduled.arms],
    }
    return MarginalUtility(
        compare_arms(scheduled.arms, right, scheduled.everything, masks, request.margin),
        removed_per_class(scheduled.arms, scheduled.source.labels),
        request.margin,
        scheduled.chosen,
        lost.left_out,
        _unverified(scheduled.arms),
        hashes,
    )


def _unverified(arms: Sequence[Arm]) -> list[float]:
    pools = {(arm.threshold, arm.name): arm.pools for arm in arms}
    return [t for t, name in pools if name == "verified" and pools[t, name] == pools[t, "scored"]]


def affected(cell: StoredCell, scored: Mapping[float, Mask]) -> Affected:
    """Those planted with a scored example, where sub-populations were planted; else those on which a scored
    example has a substantial influence among the members of `cell` that can be told from chance, unless
    chance gives most of the pairs with such influence.
    """
    if "group" in cell.examples:
        group = cell.examples["group"].to_numpy()
        own, tested = group[: cell.n_train], group[cell.n_train :]
        return Affected({t: (tested >= 0) & np.isin(tested, own[mask]) for t, mask in scored.items()})
    members = outcomes(cell)
    found = strong_pairs(members.included, members.correct_test, SUBSTANTIAL)
    (k, n_train), n_test = members.included.shape, members.correct_test.shape[1]
    if found.by_chance > found.above / 2 or not found.above:
        takes = members_for(SUBSTANTIAL, n_train, n_test, float(members.included.mean()))
        return Affected(
            {t: np.zeros(n_test, bool) for t in scored},
            "Rows of the sub-populations that lost members are left out, since they would rest on chance: of "
            f"{n_train:,} x {n_test:,} pairs of a training and a test example, {found.above:,} have an "
            f"influence of {SUBSTANTIAL:g} or more among the {k:,} members that scored, and chance alone "
            f"gives {found.by_chance:,.0f}. Even odds to tell one from chance take about {takes:,} members.",
        )
    i, j = (found.table[key].to_numpy() for key in ("train", "test"))
    return Affected({t: np.isin(np.arange(n_test), j[mask[i]]) for t, mask in scored.items()})


def _right(cell: StoredCell, members: int) -> Right:
    """Read what the first members that did not diverge get right."""
    index, right = [], []
    for shard in cell.shards(*COUNTED):
        first = shard[shard.member < members].kept()
        index.append(first.member.astype(np.int64))
        right.append(first.correct(cell.labels)[:, cell.n_train :])
    return Right(np.concatenate(index), np.concatenate(right))


def _marked(request: Request, scores: pd.DataFrame) -> tuple[dict[float, Mask], str]:
    """Examples that score each threshold, and how it was chosen if not by the user."""
    if request.thresholds == AUTO:
        at = round(knee(scores["score"].dropna().to_numpy()), 3)
        marked = memorized_set(scores, at)
        plain = int(reaches(scores["score"].to_numpy(), at).sum())
        return {at: marked}, (
            f"The threshold {at:g} is the knee of the sorted scores; of the {plain} examples at or above it, "
            f"the {int(marked.sum())} are left out whose score is above it at a false discovery rate of 5 %."
        )
    try:
        values = sorted({float(word) for word in request.thresholds.split(",")})
    except ValueError:
        values = []
    if not values or not all(-1 < value <= 1 for value in values):
        raise MemregError(
            f"thresholds={request.thresholds}: must be scores up to 1 with commas between, as 0.25,0.45, "
            "or auto"
        )
    return {value: _above(scores, value) for value in values}, ""


def _above(scores: pd.DataFrame, threshold: float, by_set: bool = False) -> Mask:
    if by_set and "included_count" in scores:
        return memorized_set(scores, threshold)
    above: Mask = reaches(scores["score"].to_numpy(), threshold)  # NaN reaches nothing
    return above


def _verified(request: Request, source: StoredCell) -> pd.DataFrame:
    if request.estimator.rpartition(":")[2] in RANKS:
        raise MemregError(f"estimator={request.estimator} ranks examples, and is for no threshold: use peers")
    if request.estimator in ESTIMATORS or is_code(request.estimator):
        known = request.neighbours if request.estimator == "peers" else None
        return scores_by(request.estimator, source, known)
    name, _, estimator = request.estimator.partition(":")
    other = source.registry.cell(name)
    if not other.cell.trains_like(source.cell):
        raise MemregError(f"estimator={request.estimator} is a cell of another data set or recipe")
    return other.scores(estimator or None)


def _sentence(rows: pd.DataFrame, margin: float) -> str:
    everyone = {row["arm"]: row for row in rows.query("images == 'all'").to_dict("records")}
    own = everyone["scored"]
    parts = [_of_scored(own, margin)]
    for name in list(ARMS)[1:]:
        arm = everyone.get(name)
        count = f" ({arm['removed']})" if arm and arm["removed"] != own["removed"] else ""
        parts.append(f"{name}{count} {_points(arm)}" if arm else f"{name}: none")
    text = "; ".join(parts) + "."
    losers = rows[(rows["images"] == "sub-populations") & rows["arm"].isin(["scored", "thinned"])]
    if len(losers):
        text += (
            f" On the {losers['test_images'].iloc[0]} test images of the sub-populations that lost members: "
            + "; ".join(f"{row['arm']} {_points(row)}" for row in losers.to_dict("records"))
            + "."
        )
    return text


def _of_scored(row: Mapping[Any, Any], margin: float) -> str:
    return (
        f"At {row['threshold']:.2f}: without the {row['removed']} examples that score it, {_points(row)} "
        f"({_verdict(row, margin)})"
    )


def _points(row: Mapping[Any, Any], both: bool = True) -> str:
    """both: also the interval over networks and test images."""
    text = f"{row['difference']:+.2f} points [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"
    ends = f" ({row['difference_both_low']:+.2f}, {row['difference_both_high']:+.2f})"
    return text + ends if both else text


def _listed(thresholds: Iterable[float]) -> str:
    return ", ".join(f"{threshold:.2f}" for threshold in thresholds)


def _points_of(rows: Sequence[Mapping[Any, Any]]) -> str:
    low, high = (end(row["difference"] for row in rows) for end in (min, max))
    return f"{low:+.2f} points" if low == high else f"{low:+.2f} to {high:+.2f} points"


def _at_random(rows: Sequence[Mapping[Any, Any]]) -> str:
    return f"; without as many at random {_points_of(rows)}" if rows else ""


def _verdict(row: Mapping[Any, Any], margin: float) -> str:
    if row["p_holm"] < 0.05:
        what = "it hurts" if row["difference"] < 0 else "it helps"
        elsewhere = row["difference_both_low"] > 0 or row["difference_both_high"] < 0
        return what if elsewhere else f"{what} on these test images"
    if row["p_equivalent_holm"] < 0.05:
        return f"no difference of {margin:g} points or more"
    return "undecided"
