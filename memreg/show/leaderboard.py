"""What a leaderboard of proxies says: a table, figures and words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from memreg.cell import Cell
from memreg.estimators.approximation import mean_interval
from memreg.estimators.leaderboard import MEMORIZED, Truth, against_best, error_by_size
from memreg.estimators.leaderboard import Figure as Judgement
from memreg.scoring.entrants import Entrant
from memreg.show import figures
from memreg.show.notes import answered
from memreg.wording import counted

ENDS = ("", "_low", "_high", "_networks_low", "_networks_high")


@dataclass(frozen=True, eq=False)
class Board:
    """What is answered."""

    loo: Cell
    cells: Sequence[str]
    """The leave-out cell, the cell on everything, and the cell whose members leave examples out."""
    targets: NDArray[np.int64]
    truth: Truth
    entrants: Sequence[Entrant]
    skipped: Sequence[str] = ()
    """What could not be judged, and why."""
    pictures: Figure | str = field(default="", repr=False)
    """What proxies and the truth disagree about, or why it is not shown."""

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per proxy and number of networks."""
        return pd.DataFrame([self._row(e) for e in self.entrants]).merge(self._differences)

    def metrics(self) -> Mapping[str, float]:
        most = {e.proxy: e for e in sorted(self.entrants, key=lambda e: e.networks)}
        spread = {"targets": len(self.targets), "ceiling": self.truth.ceiling, "floor": self.truth.floor}
        return {
            **spread,
            "constant_error": float(self.truth.constant.mean()),
            **{f"error/{self._plain(name)}": e.judged.error.value for name, e in most.items()},
            **{f"spearman/{self._plain(name)}": e.judged.spearman.value for name, e in most.items()},
        }

    def tables(self) -> Mapping[str, pd.DataFrame | str]:
        sizes = [
            error_by_size(e.judged.errors, self.truth).assign(proxy=e.proxy, networks=e.networks)
            for e in self.entrants
        ]
        return {
            "leaderboard.parquet": self.table,
            "leaderboard-by-size.parquet": pd.concat(sizes, ignore_index=True),
        }

    def figures(self) -> Mapping[str, Figure]:
        title = f"{self.loo.recipe.model} on {self.loo.dataset}, {counted(len(self.targets), 'target')}"
        shown = {"disagreement": self.pictures} if isinstance(self.pictures, Figure) else {}
        return {"leaderboard": figures.leaderboard(self.table, title), **shown}

    def in_short(self) -> str:
        t, best = self.truth, self._closest
        return (
            f"{best.proxy}, from {counted(best.networks, 'network')}, comes closest to leave-one-out: it "
            f"errs by {best.judged.error.value:.3f} on average, where a perfect proxy would err by about "
            f"{t.floor:.3f} and no proxy at all by {t.constant.mean():.3f}.\n"
            f"Leave-one-out scores of {counted(len(self.targets), 'target')}, {self.loo.recipe.model} on "
            f"{self.loo.dataset}. {self._best(best.networks)}"
        )

    def in_words(self) -> str:
        t, best = self.truth, self._closest
        error = best.judged.error
        numbers = [
            (
                f"{error.value:.3f} [{error.low:.3f}, {error.high:.3f}]",
                f"mean error of {best.proxy}, the best",
            ),
            (f"{t.floor:.3f}", "about the error of a perfect proxy: the noise of the truth alone"),
            (f"{t.constant.mean():.3f}", "error without any proxy: the same score for all"),
            (f"{best.cost:,.0f}", "trainings are what the best costs"),
        ]
        return answered(self.in_short(), numbers, self._in_full())

    def _in_full(self) -> str:
        said = [
            "By noise alone a perfect proxy would have Spearman's rho "
            f"{_number(self.truth.ceiling)}. Errors are of values calibrated on other targets."
        ]
        said += [self._best(networks) for networks in dict.fromkeys(e.networks for e in self.entrants)]
        names = dict.fromkeys(e.proxy for e in self.entrants)
        useful = {e.proxy for e in self.entrants if self._gain(e)[1] > 0}
        if useless := [name for name in names if name not in useful]:
            said.append(f"Not shown to be better than no proxy at all: {', '.join(useless)}.")
        if self.skipped:
            said.append(f"Not judged: {'; '.join(self.skipped)}.")
        if isinstance(self.pictures, str) and self.pictures:
            said.append(f"The images are left out: {self.pictures}")
        return "\n\n".join(said)

    @property
    def _closest(self) -> Entrant:
        """What errs least of all; of equals, what takes fewer networks."""
        return min(self.entrants, key=lambda e: (e.judged.error.value, e.networks))

    def _least(self, networks: int) -> list[Entrant]:
        """Those that were judged at so many networks, the one that errs least first."""
        own = [e for e in self.entrants if e.networks == networks]
        return sorted(own, key=lambda e: e.judged.error.value)

    def _best(self, networks: int) -> str:
        """Say which proxy errs least at so many networks, and which are not shown to be worse."""
        own = self._least(networks)
        behind = self._differences.query("p_holm < 0.05 and networks == @networks")["proxy"].tolist()
        like = [e.proxy for e in own[1:] if e.proxy not in behind]
        more = len(own) > 1
        best, error, rho = own[0], own[0].judged.error, own[0].judged.spearman
        return (
            f"{counted(networks, 'network')}: {best.proxy} errs by {error.value:.3f} "
            f"[{error.low:.3f}, {error.high:.3f}], rho {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}], at a "
            f"cost of {best.cost:,.1f} trainings"
            + (f"; not shown to be worse: {', '.join(like)}" if like else "; all others are worse" * more)
            + "."
        )

    def _gain(self, e: Entrant) -> tuple[float, float, float]:
        """By how much a proxy errs less than none at all, with its interval over targets."""
        less = self.truth.constant - e.judged.errors
        return float(less.mean()), *mean_interval(less, self.truth.unit)

    def _row(self, e: Entrant) -> dict[str, object]:
        judged: dict[str, Judgement | None] = {
            "spearman": e.judged.spearman,
            "error": e.judged.error,
            "plain_error": e.plain,
        }
        for threshold in MEMORIZED:
            judged[f"average_precision/{threshold:.2f}"] = e.judged.average_precision[threshold]
            judged[f"recall/{threshold:.2f}"] = e.judged.recall[threshold]
        nothing = (float("nan"),) * len(ENDS)
        return {
            "proxy": e.proxy,
            "networks": e.networks,
            "repetitions": len(e.values),
            "cost": e.cost,
            **{
                f"{name}{end}": value
                for name, found in judged.items()
                for end, value in zip(ENDS, found or nothing, strict=True)
            },
            **dict(zip(("gain", "gain_low", "gain_high"), self._gain(e), strict=True)),
            "ceiling": self.truth.ceiling,
            "floor": self.truth.floor,
            "constant_error": float(self.truth.constant.mean()),
            "missing": e.judged.missing,
        }

    @cached_property
    def _differences(self) -> pd.DataFrame:
        """Against the best of each number of networks."""
        parts = []
        for networks in dict.fromkeys(e.networks for e in self.entrants):
            errors = {e.proxy: e.judged.errors for e in self.entrants if e.networks == networks}
            compared = against_best(errors, self.truth.unit).rename(
                columns={"low": "difference_low", "high": "difference_high"}
            )
            parts.append(compared.assign(networks=networks))
        return pd.concat(parts, ignore_index=True)

    @staticmethod
    def _plain(name: str) -> str:
        return name.replace(":", ".")


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else "(halves of the truth do not agree: unknown)"
