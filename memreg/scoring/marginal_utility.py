"""Sections 3.3 and 4.3: what the removal of memorized examples does to test accuracy, from stored members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memreg.design.arms import ARMS, Pools
from memreg.estimators.counts import Floats, Mask
from memreg.estimators.influence import members_for, strong_pairs
from memreg.estimators.utility import Difference, difference, holm, over_both, over_images
from memreg.prediction import diverged
from memreg.registry import Registry, RunWriter
from memreg.scoring.members import read_members
from memreg.show import figures

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
class Affected:
    """Test images of the sub-populations that lose members."""

    images: Mapping[float, Mask]
    """By threshold, shape [n_test]."""
    left_out: str = ""
    """Why they are not known; empty where they are."""


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
    left_out: str
    """Why there are no rows of sub-populations; empty where there are."""

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
        lines.append(
            "Intervals in [] are over networks, on these test images; those in () are over networks and test "
            "images."
        )
        if self.left_out:
            lines.append(self.left_out)
        return "\n".join(lines)


def affected(registry: Registry, cell: str, scored: Mapping[float, Mask]) -> Affected:
    """Those planted with a scored example, where sub-populations were planted; else those on which a scored
    example has a substantial influence among the members of `cell` that can be told from chance, unless
    chance gives most of the pairs with such influence.
    """
    examples = registry.examples(cell)
    train = examples["split"] == "train"
    if "group" in examples:
        group = examples["group"].to_numpy()
        own, tested = group[train], group[~train]
        return Affected({t: (tested >= 0) & np.isin(tested, own[mask]) for t, mask in scored.items()})
    members = read_members(registry, cell)
    found, (k, n_train) = (
        strong_pairs(members.included, members.correct_test, SUBSTANTIAL),
        members.included.shape,
    )
    tests = np.arange(members.correct_test.shape[1])
    if found.by_chance > found.above / 2 or not found.above:
        takes = members_for(SUBSTANTIAL, n_train, len(tests), float(members.included.mean()))
        return Affected(
            {t: np.zeros(len(tests), bool) for t in scored},
            "Rows of the sub-populations that lost members are left out, since they would rest on chance: of "
            f"{n_train:,} x {len(tests):,} pairs of a training and a test example, {found.above:,} have an "
            f"influence of {SUBSTANTIAL:g} or more among the {k:,} members that scored, and chance alone "
            f"gives {found.by_chance:,.0f}. Even odds to tell one from chance take about {takes:,} members.",
        )
    i, j = (found.table[key].to_numpy() for key in ("train", "test"))
    return Affected({t: np.isin(tests, j[mask[i]]) for t, mask in scored.items()})


def marginal_utility(
    registry: Registry,
    everything: str,
    arms: list[Arm],
    members: int,
    distinct: Mask,
    sub_populations: Affected,
    margin: float,
    chosen: str = "",
) -> MarginalUtility:
    """Compare the first `members` members of each arm with those on everything.

    distinct: test images without a near duplicate in training, [n_test].
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
            mask = sub_populations.images[arm.threshold] if mask is None else mask
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
    for key in ("p", "p_equivalent"):
        table[f"{key}_holm"] = table.groupby(["images", "arm"])[key].transform(lambda p: holm(p.tolist()))
    left_out = sub_populations.left_out
    return MarginalUtility(table, _per_class(arms, labels), members, margin, chosen, left_out)


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
    whole, images = _difference(right[arm], right[everything], mask)
    both = over_both(whole, images)
    row: dict[str, float | bool] = {
        "members": len(own),
        "test_accuracy": 100 * float(own.mean()),
        "difference": whole.mean,
        "sd": whole.sd,
        "standard_error": whole.standard_error,
        "difference_low": whole.low,
        "difference_high": whole.high,
        "difference_images_low": images.low,
        "difference_images_high": images.high,
        "difference_both_low": both.low,
        "difference_both_high": both.high,
        "paired": whole.paired,
        "p": whole.p,
        "p_equivalent": whole.equivalence_p(margin),
    }
    against = _difference(right[arm], right[control], mask)[0] if control and control != arm else None
    for key, name in (("mean", ""), ("low", "_low"), ("high", "_high")):
        row[f"from_random{name}"] = getattr(against, key) if against else float("nan")
    return row


def _difference(
    a: tuple[NDArray[np.int64], Mask], b: tuple[NDArray[np.int64], Mask], mask: Mask
) -> tuple[Difference, Difference]:
    """In points, over the members that both arms have, and over test images."""
    _, i, j = np.intersect1d(a[0], b[0], return_indices=True)
    x, y = (right[rows][:, mask] for (_, right), rows in ((a, i), (b, j)))
    return difference(100 * x.mean(1), 100 * y.mean(1)), over_images(100 * x.mean(0), 100 * y.mean(0))


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
    return (
        f"{row['difference']:+.2f} points [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}] "
        f"({row['difference_both_low']:+.2f}, {row['difference_both_high']:+.2f})"
    )


def _verdict(row: Mapping[Any, Any], margin: float) -> str:
    if row["p_holm"] < 0.05:
        what = "it hurts" if row["difference"] < 0 else "it helps"
        elsewhere = row["difference_both_low"] > 0 or row["difference_both_high"] < 0
        return what if elsewhere else f"{what} on these test images"
    if row["p_equivalent_holm"] < 0.05:
        return f"no difference of {margin:g} points or more"
    return "undecided"
