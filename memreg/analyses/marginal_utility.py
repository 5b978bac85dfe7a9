"""Sections 3.3 and 4.3: what the removal of memorized examples does to test accuracy, from stored members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg import figures
from memreg.analyses.arms import ARMS, Pools
from memreg.analyses.members import read_members
from memreg.estimators.counts import Floats, Mask
from memreg.estimators.influence import strong_pairs
from memreg.estimators.utility import Difference, difference, holm
from memreg.prediction import diverged
from memreg.registry import Registry, RunWriter

EVERYTHING = "everything"
IMAGES = ("all", "distinct", "sub-populations")
SUBSTANTIAL = 0.15
"""Feldman & Zhang's influence of a training on a test example."""


@dataclass(frozen=True)
class Arm:
    """Members without some examples."""

    threshold: float
    name: str
    pools: Pools
    cell: str
    """Hash."""

    @property
    def removed(self) -> int:
        return sum(count for count, _ in self.pools)


@dataclass(frozen=True)
class MarginalUtility:
    table: pd.DataFrame
    """A row per threshold, arm and kind of test images, in points of accuracy; see docs/registry.md."""
    per_class: pd.DataFrame
    """`threshold`, `arm`, `label`, `removed`: examples of each class that an arm leaves out."""
    members: int
    margin: float
    chosen: str
    """How the thresholds were chosen; empty where the user did."""

    def in_words(self) -> str:
        lines = [self.chosen] if self.chosen else []
        for threshold, rows in self.table.groupby("threshold"):
            lines.append(_sentence(float(str(threshold)), rows, self.margin))
        if (images := self.table["images"].eq("distinct")).any():
            share = 1 - self.table.loc[images, "test_images"].iloc[0] / self.table["test_images"].max()
            lines.append(
                f"{share:.0%} of the test images have a near duplicate in training; the table's rows "
                "`distinct` are without them."
            )
        return "\n".join(lines)


def affected(registry: Registry, cell: str, scored: Mapping[float, Mask]) -> dict[float, Mask]:
    """By threshold, test images of the sub-populations that lose members, shape [n_test].

    Those planted with a scored example, where sub-populations were planted; else those on which a scored
    example has a substantial influence among the members of `cell`.
    """
    examples = registry.examples(cell)
    train = examples["split"] == "train"
    if "group" in examples:
        group = examples["group"].to_numpy()
        own, test = group[train], group[~train]
        return {t: (test >= 0) & np.isin(test, own[mask]) for t, mask in scored.items()}
    members = read_members(registry, cell)
    pairs = strong_pairs(members.included, members.correct_test, SUBSTANTIAL).table
    tests = np.arange(members.correct_test.shape[1])
    return {
        t: np.isin(tests, pairs.loc[mask[pairs["train"].to_numpy()], "test"]) for t, mask in scored.items()
    }


def marginal_utility(
    registry: Registry,
    everything: str,
    arms: list[Arm],
    members: int,
    distinct: Mask,
    sub_populations: Mapping[float, Mask],
    margin: float,
    chosen: str = "",
) -> MarginalUtility:
    """Compare the first `members` members of each arm with those on everything.

    distinct: test images without a near duplicate in training, [n_test]; sub_populations: by threshold,
    [n_test].
    margin: in points of accuracy, the largest difference that counts as none.
    """
    labels = registry.examples(everything)["label"].to_numpy()
    right = {
        hash_: _correct(registry, hash_, labels, members)
        for hash_ in dict.fromkeys([everything, *(arm.cell for arm in arms)])
    }
    everyone = np.ones_like(distinct)
    rows = []
    for images in IMAGES:
        for arm in arms:
            mask = {"all": everyone, "distinct": distinct}.get(images)
            mask = sub_populations[arm.threshold] if mask is None else mask
            if not mask.any():
                continue
            control = next((a.cell for a in arms if (a.threshold, a.name) == (arm.threshold, "random")), None)
            rows.append(
                {
                    "images": images,
                    "threshold": arm.threshold,
                    "arm": arm.name,
                    "removed": arm.removed,
                    "test_images": int(mask.sum()),
                    **_compared(right, arm.cell, everything, control, mask, margin),
                }
            )
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby(["images", "arm"])["p"].transform(lambda p: holm(p.tolist()))
    return MarginalUtility(table, _per_class(arms, labels), members, margin, chosen)


def log_marginal_utility(run: RunWriter, result: MarginalUtility) -> None:
    """marginal_utility.parquet, removed.parquet, figures/marginal_utility.png, and a metric per arm."""
    metrics = {}
    for row in result.table.query("images == 'all'").to_dict("records"):
        for key in ("difference", "difference_low", "difference_high"):
            metrics[f"{key}/{row['arm']}/{row['threshold']:.2f}"] = row[key]
    run.log(metrics=metrics, note=result.in_words())
    run.artifacts.put("marginal_utility.parquet", result.table.to_parquet)
    run.artifacts.put("removed.parquet", result.per_class.to_parquet)
    figure = figures.marginal_utility(result.table, result.margin)
    run.artifacts.put("figures/marginal_utility.png", lambda path: figures.save(figure, path))


def _correct(
    registry: Registry, cell: str, labels: NDArray[np.int64], members: int
) -> tuple[NDArray[np.int64], Mask]:
    """Indices of the first members that did not diverge, and which test images each gets right."""
    index, right = [], []
    for shard in registry.shards(cell, ("member", "included", "predicted")):
        kept = ~diverged(shard["predicted"]) & (shard["member"] < members)
        n_train = shard["included"].shape[1]
        index.append(shard["member"][kept].astype(np.int64))
        right.append(shard["predicted"][kept][:, n_train:] == labels[n_train:])
    return np.concatenate(index), np.concatenate(right)


def _compared(
    right: Mapping[str, tuple[NDArray[np.int64], Mask]],
    arm: str,
    everything: str,
    control: str | None,
    mask: Mask,
    margin: float,
) -> dict[str, float | bool]:
    own = right[arm][1][:, mask].mean(1)
    whole = _difference(right[arm], right[everything], mask)
    row: dict[str, float | bool] = {
        "members": len(own),
        "test_accuracy": 100 * float(own.mean()),
        "difference": whole.mean,
        "sd": whole.sd,
        "standard_error": whole.standard_error,
        "difference_low": whole.low,
        "difference_high": whole.high,
        "paired": whole.paired,
        "p": whole.p,
        "p_equivalent": whole.equivalence_p(margin),
    }
    against = _difference(right[arm], right[control], mask) if control and control != arm else None
    for key, name in (("mean", ""), ("low", "_low"), ("high", "_high")):
        row[f"from_random{name}"] = getattr(against, key) if against else float("nan")
    return row


def _difference(
    a: tuple[NDArray[np.int64], Mask], b: tuple[NDArray[np.int64], Mask], mask: Mask
) -> Difference:
    """In points, over the members that both arms have."""
    _, i, j = np.intersect1d(a[0], b[0], return_indices=True)
    x, y = (100 * right[rows][:, mask].mean(1) for (_, right), rows in ((a, i), (b, j)))
    return difference(x, y)


def _per_class(arms: list[Arm], labels: NDArray[np.int64]) -> pd.DataFrame:
    rows = []
    for arm in arms:
        expected: Floats = np.zeros(labels.max() + 1)
        for count, examples in arm.pools:
            own = np.bincount(labels[list(examples)], minlength=len(expected))
            expected += count * own / own.sum()
        rows += [
            {"threshold": arm.threshold, "arm": arm.name, "label": label, "removed": value}
            for label, value in enumerate(expected)
        ]
    return pd.DataFrame(rows)


def _sentence(threshold: float, rows: pd.DataFrame, margin: float) -> str:
    everyone = {row["arm"]: row for row in rows.query("images == 'all'").to_dict("records")}
    own = everyone["scored"]
    parts = [
        f"At {threshold:.2f}: without the {own['removed']} examples that score it, {_points(own)} "
        f"({_verdict(own, margin)})"
    ]
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


def _points(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.2f} points [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"


def _verdict(row: Mapping[Any, Any], margin: float) -> str:
    if row["p_holm"] < 0.05:
        return "it hurts" if row["difference"] < 0 else "it helps"
    if row["p_equivalent"] < 0.05:
        return f"no difference of {margin:g} points or more"
    return "undecided"
