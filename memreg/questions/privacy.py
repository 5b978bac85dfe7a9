"""`memreg privacy`: how well a network's training examples are told from others by membership inference.

The paper's discussion (section 6) rests on it: memorized examples are those that are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from memreg.cell import Cell
from memreg.data.stored import images_of
from memreg.errors import MemregError
from memreg.estimators.correlation import rank_correlation
from memreg.estimators.counts import Tally, half
from memreg.estimators.membership import FEWEST as FEWEST_OTHERS
from memreg.estimators.membership import Known, curves
from memreg.estimators.roc import FEWEST, Curves
from memreg.estimators.scores import scores
from memreg.estimators.statistics import ATTACKS, OF_PRIVACY, RATES, privacy_key, rate_key
from memreg.registry import Registry, Store, StoredCell
from memreg.registry.tables import PRIVACY, scores_name
from memreg.requests.privacy import Request
from memreg.scoring.privacy import attack, separations_in_halves, vulnerability
from memreg.show import figures
from memreg.show.figures.pictures import Picture

EXCEPTIONS = 7
"""Images of each kind in the figure."""
NEARLY = 0.1
"""Memorization score that is hardly one."""


@dataclass(frozen=True)
class Privacy:
    """What is answered."""

    cell: Cell
    members: int
    clipped: int
    """Members whose margins end at 8.3."""
    pooled: bool
    """One variance for all examples."""
    scores: pd.DataFrame
    """As scores-privacy.parquet."""
    memorization: pd.Series
    """Feldman & Zhang's score of each training example."""
    curves: Mapping[str, Curves]
    """By attack."""
    values: Mapping[str, float]
    """Metrics of the cell."""
    agreement: tuple[float, float, float]
    """Spearman's rho of `score` and the memorization score, each from the other half of the members, and its
    interval over examples."""
    pictures: Mapping[str, list[Picture]] | str
    """Examples that are the exceptions, by kind; or why they are not shown."""

    @property
    def cells(self) -> list[str]:
        return [self.cell.hash]

    def metrics(self) -> Mapping[str, float]:
        names = ("privacy/spearman", "privacy/spearman_low", "privacy/spearman_high")
        return dict(self.values) | dict(zip(names, self.agreement, strict=True))

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {scores_name(PRIVACY): self.scores}

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members"
        shown = self.pictures if isinstance(self.pictures, Mapping) else {}
        return {
            "privacy": figures.attack_curves(self.curves, title),
            "privacy_memorization": figures.vulnerability(
                self.memorization, self.scores, self.agreement, title, shown
            ),
        }

    def in_short(self) -> str:
        return "\n".join([self._online(), *self._cautions()])

    def in_words(self) -> str:
        parts = [self._online(), self._others(), self._examples(), self._prior(), *self._cautions()]
        return "\n\n".join(parts)

    def _online(self) -> str:
        cell, found = self.cell, self._found("online")
        return (
            f"{cell.recipe.model} on {cell.dataset}, {self.members} members, each attacked with the others: "
            f"of what it was trained on, LiRA finds {found}."
        )

    def _others(self) -> str:
        others = [f"{ATTACKS[key]} finds {self._found(key)}" for key in list(self.curves)[1:]]
        return f"By other attacks: {'; '.join(others)}."

    def _found(self, attack: str) -> str:
        rates = [
            f"{self._of(attack, rate_key(rate), '.2%')} at a false-positive rate of {rate:.1%}"
            for rate in RATES
        ]
        auc, accuracy = (self._of(attack, name, ".3f") for name in ("auc", "balanced_accuracy"))
        return f"{' and '.join(rates)} (AUC {auc}, balanced accuracy {accuracy})"

    def _of(self, attack: str, name: str, form: str) -> str:
        key = privacy_key(attack, name)
        value, low, high = (self.values[key + end] for end in ("", "_low", "_high"))
        if value != value:
            rate = next(rate for rate in RATES if rate_key(rate) == name)
            negatives = self.curves[attack].whole.negatives
            takes = f"it takes {FEWEST / rate:,.0f} trials without the example, and there are {negatives:,}"
            return f"an unknown share ({takes})"
        interval = (
            f"[{low:{form}}, {high:{form}}]"
            if low == low
            else "[no interval: it takes more blocks of members]"
        )
        return f"{value:{form}} {interval}"

    def _examples(self) -> str:
        sure, nearly_always = (self.scores["low"] > 0.5).sum(), (self.scores["score"] >= 0.99).sum()
        text = (
            f"Of {len(self.scores):,} training examples {sure:,} are told better than by chance, each by its "
            f"own 95 % interval (by chance {len(self.scores) / 40:,.0f} would be), and "
            f"{nearly_always:,} with an AUC of 0.99 or more."
        )
        rho, low, high = self.agreement
        if rho == rho:
            text += (
                f" An example's AUC and its memorization score have Spearman's rho = {rho:.2f} [{low:.2f}, "
                f"{high:.2f}], each from the other half of the members, so that they share no chance; the "
                "noise of members makes it smaller."
            )
        return text

    def _prior(self) -> str:
        included = self.scores["included_count"].sum() / self.members / len(self.scores)
        return (
            "Rates are shares of the members with an example and of those without it. So they do not depend "
            f"on how many there are of each, here {included:.0%} with it. For the odds that a random example "
            f"was trained on, multiply a likelihood ratio by {included / (1 - included):.2f}."
        )

    def _cautions(self) -> list[str]:
        said = []
        if self.clipped:
            said.append(
                f"Warning: of {self.members:,} members {self.clipped:,} have no margins but p_label in "
                "float16, which ends at log odds of 8.3: what is told beyond is not seen. Members that are "
                "trained now have margins."
            )
        if self.pooled:
            said.append(
                f"All examples share one variance. Each has its own once {FEWEST_OTHERS} other members are "
                f"with it and {FEWEST_OTHERS} without it, as of 120 at r = 0.7."
            )
        if "rmia" not in self.curves:
            said.append("RMIA is left out: there are no margins of test examples, which it takes.")
        if isinstance(self.pictures, str):
            said.append(f"The images of exceptions are left out: {self.pictures}")
        return said


def run(request: Request, registry: Registry) -> Privacy:
    """Attack a cell's members; the table is also kept beside the cell's scores, and its metrics in its run.

    Raises `MemregError` where members cannot be attacked: while more are trained, without margins, in one
    block, or without examples that some include and some leave out.
    """
    cell = registry.cell(request.cell)
    if not cell.complete:
        raise MemregError(
            f"{cell} is getting more members: attack it when the command that trains it is done"
        )
    margins, found = attack(cell)
    known = margins.known
    curves_of = curves(known, found)
    table = vulnerability(cell, known, found, curves_of["online"].trials)
    values = {
        privacy_key(attack, key): value
        for attack, curve in curves_of.items()
        for key, value in curve.summary().items()
    }
    sums = margins.sums
    answer = Privacy(
        cell.cell,
        len(known.block),
        margins.clipped,
        found.pooled,
        table,
        pd.Series(sums.total.score),
        curves_of,
        values,
        _agreement(known, sums),
        _pictures(cell, table, sums, request),
    )
    writer = Store(registry.tracking_uri).run(cell.run_id)
    writer.artifacts.put(scores_name(PRIVACY), table.to_parquet)
    writer.withdraw(lambda key: key.startswith(OF_PRIVACY))
    writer.log(metrics=values)
    return answer


def _agreement(known: Known, sums: Tally) -> tuple[float, float, float]:
    second = half(sums.block) == 1
    scores = [sums.part(rows).total.score for rows in (~second, second)]
    return rank_correlation(list(zip(separations_in_halves(known), scores[::-1], strict=True)))


def _pictures(
    cell: StoredCell, table: pd.DataFrame, sums: Tally, request: Request
) -> dict[str, list[Picture]] | str:
    """Examples that are told although their memorization score, by its interval, is no more than NEARLY, and
    those whose score is more although they are not shown to be told; those first of which it is surest. In
    words why not, where the images are not there."""
    try:
        dataset = images_of(cell.cell, request.data_dir, request.dataset)
    except MemregError as error:
        return str(error)
    memorized = scores(sums.total)
    kinds = {
        "told, not memorized": (table["low"] > 0.5) & (memorized["high"] <= NEARLY),
        "memorized, not told": (memorized["low"] > 0) & (table["low"] <= 0.5),
    }
    surest = {"told, not memorized": table["low"], "memorized, not told": memorized["low"]}
    found = {name: surest[name][mask].nlargest(EXCEPTIONS).index for name, mask in kinds.items()}
    return {
        f"{name}: {int(kinds[name].sum()):,} examples": [
            (
                dataset.train_images[i],
                f"{dataset.train_labels[i]}: {table['score'][i]:.2f}, {memorized['score'][i]:+.2f}",
            )
            for i in chosen
        ]
        for name, chosen in found.items()
        if len(chosen)
    }
