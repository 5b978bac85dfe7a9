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
from memreg.estimators.membership import Known, attacked, curves
from memreg.estimators.roc import FEWEST, Curves, trials
from memreg.estimators.scores import scores
from memreg.estimators.statistics import ATTACKS, OF_PRIVACY, OF_QUERIES, RATES, privacy_key, rate_key
from memreg.registry import Registry, Store, StoredCell
from memreg.registry.tables import PRIVACY, PRIVACY_QUERIES, scores_name
from memreg.requests.privacy import Request
from memreg.scoring.privacy import Asked, attack, help_of_views, separations_in_halves, vulnerability
from memreg.show import figures
from memreg.show.figures.pictures import Picture
from memreg.show.labelled import label_in_words
from memreg.show.notes import WARNING, Numbers, answered

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
    asked: Asked | None = None
    """Where views of the images were queries too."""

    @property
    def cells(self) -> list[str]:
        return [self.cell.hash]

    def metrics(self) -> Mapping[str, float]:
        names = (f"{self._beginning}spearman{end}" for end in ("", "_low", "_high"))
        return dict(self.values) | dict(zip(names, self.agreement, strict=True))

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        return {scores_name(PRIVACY_QUERIES if self.asked else PRIVACY): self.scores}

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.cell.recipe.model} on {self.cell.dataset}, {self.members} members"
        title += f", {self.asked.queries} queries an image" if self.asked else ""
        alone = {"image": self.asked.image} if self.asked else {}
        shown = self.pictures if isinstance(self.pictures, Mapping) else {}
        return {
            "privacy": figures.attack_curves({**self.curves, **alone}, title),
            "privacy_memorization": figures.vulnerability(
                self.memorization, self.scores, self.agreement, title, shown
            ),
        }

    def in_short(self) -> str:
        return "\n".join([self._online(), *self._gain(), *self._warnings(), *self._notes()])

    def in_words(self) -> str:
        said = "\n".join([self._online(), *self._gain(), *self._warnings()])
        parts = [self._others(), self._examples(), self._prior(), *self._notes()]
        return answered(said, self._numbers(), "\n\n".join(parts))

    def _online(self) -> str:
        cell, found = self.cell, self._found("online")
        return (
            f"{cell.recipe.model} on {cell.dataset}, {self.members} members, each attacked with the others"
            f"{self._by()}: of what it was trained on, LiRA finds {found}."
        )

    def _by(self) -> str:
        return f" by {self.asked.queries} queries an image" if self.asked else ""

    def _gain(self) -> list[str]:
        """How much the views help, beside what the image alone tells."""
        if not self.asked:
            return []
        image, gain = self.asked.image.summary(), self.asked.gain
        known = [rate for rate in RATES if gain[rate_key(rate)] == gain[rate_key(rate)]]
        found = [f"{image[rate_key(rate)]:.2%} at {rate:.1%}" for rate in known]
        added = [f"{_signed(gain, rate_key(rate), 100, '.2f')} points at {rate:.1%}" for rate in known]
        added.append(f"{_signed(gain, 'auc', 1, '.3f')} of AUC")
        return [
            f"By the image alone it finds {', '.join(found) or 'an unknown share'} (AUC {image['auc']:.3f}): "
            f"views of it add {', '.join(added)}."
        ]

    @property
    def _beginning(self) -> str:
        return OF_QUERIES if self.asked else OF_PRIVACY

    def _numbers(self) -> Numbers:
        found = []
        for rate in RATES:
            key = privacy_key("online", rate_key(rate), self._beginning)
            if self.values[key] == self.values[key]:
                what = f"of what a network was trained on is found, at {rate:.1%} false alarms"
                found.append((self._of("online", rate_key(rate), ".1%"), what))
        if self.asked:
            what = "AUC more than by the image alone"
            found.append((_signed(self.asked.gain, "auc", 1, ".3f"), what))
        found.append((self._of("online", "auc", ".2f"), "AUC of the attack: 0.5 is guessing, 1 is certainty"))
        rho, low, high = self.agreement
        if rho == rho:
            what = "rank correlation of how well an example is told and its memorization score"
            found.append((f"{rho:.2f} [{low:.2f}, {high:.2f}]", what))
        return [*found, (f"{self.members}", "members, each attacked with the others")][:4]

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
        key = privacy_key(attack, name, self._beginning)
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

    def _warnings(self) -> list[str]:
        if not self.clipped:
            return []
        return [
            f"{WARNING}: of {self.members:,} members {self.clipped:,} have no margins but p_label in "
            "float16, which ends at log odds of 8.3: what is told beyond is not seen. Members that are "
            "trained now have margins."
        ]

    def _notes(self) -> list[str]:
        said = []
        if self.pooled:
            said.append(
                f"All examples share one variance. Each has its own once {FEWEST_OTHERS} other members are "
                f"with it and {FEWEST_OTHERS} without it, as of 120 at r = 0.7."
            )
        if self.asked:
            said.append(
                "LiRA's score is the mean over an image's queries, and the loss threshold is of their mean "
                "margin. What is said of single examples is by the mean of their margins. RMIA is left out: "
                "it compares with test images, of which no views were kept."
            )
            if self.asked.left_out:
                everyone = self.members + self.asked.left_out
                said.append(f"Of the cell's {everyone:,} members {self.members:,} kept queries, and count.")
        elif "rmia" not in self.curves:
            said.append("RMIA is left out: there are no margins of test examples, which it takes.")
        if isinstance(self.pictures, str):
            said.append(f"The images of exceptions are left out: {self.pictures}")
        return said


def _signed(gain: Mapping[str, float], key: str, unit: float, form: str) -> str:
    value, low, high = (unit * gain[key + end] for end in ("", "_low", "_high"))
    return f"{value:+{form}}" + (f" [{low:+{form}}, {high:+{form}}]" if low == low else "")


def run(request: Request, registry: Registry) -> Privacy:
    """Attack a cell's members; the table is also kept beside the cell's scores, and its metrics in its run.

    Raises `MemregError` where members cannot be attacked: while more are trained, without margins, in one
    block, without examples that some include and some leave out, or without queries that are asked for.
    """
    cell = registry.cell(request.cell)
    if not cell.complete:
        raise MemregError(
            f"{cell} is getting more members: attack it when the command that trains it is done"
        )
    margins, found = attack(cell, queries=request.queries)
    curves_of = curves(margins.known, found)
    known, online, beginning, asked = margins.known, curves_of["online"], OF_PRIVACY, None
    if request.queries:
        beginning, asked = OF_QUERIES, help_of_views(margins, online, found.pooled)
        known = known.averaged
        found = attacked(known, ("online",), found.pooled)
        counted = trials(found.scores["online"], known.included, known.block)
    else:
        counted = online.trials
    table = vulnerability(cell, known, found, counted)
    values = {
        privacy_key(attack, key, beginning): value
        for attack, curve in curves_of.items()
        for key, value in curve.summary().items()
    }
    if asked:
        values |= {f"{beginning}gain/{key}": value for key, value in asked.gain.items()}
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
        asked,
    )
    writer = Store(registry.tracking_uri).run(cell.run_id)
    writer.withdraw(lambda key: key.startswith(beginning))  # first: what is half done misses, and is not old
    for name in answer.tables():
        writer.artifacts.put(name, table.to_parquet)
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
                f"{label_in_words(cell, i)}\n{table['score'][i]:.2f}, {memorized['score'][i]:+.2f}",
            )
            for i in chosen
        ]
        for name, chosen in found.items()
        if len(chosen)
    }
