"""Who finds the companions of planted examples with fewer networks: counting, or a datamodel?

    python benchmarks/datamodel.py CELL [--members 100,200,400,1000]

CELL is a stored cell with planted sub-populations. For each of their training examples all others are ranked
by how much they teach networks about it: by counting how often it is right with and without them, by counting
its log odds likewise, and by the weights of a datamodel, all from the first so many members. A ranking is
scored by its average precision for the example's companions. Differences to counting are with 95 % intervals
over sub-populations, whose examples stand and fall together.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from memreg.estimators.datamodel import counting, datamodels, fitted
from memreg.members import Members
from memreg.registry import Registry, StoredCell
from memreg.scoring.neighbours import planted


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cell")
    parser.add_argument("--members", default="100,200,400,1000")
    arguments = parser.parse_args()
    cell = Registry().cell(arguments.cell)
    members = cell.members("included", "predicted", "margin").kept()
    for count in map(int, arguments.members.split(",")):
        _compare(cell, members[:count])


def _compare(cell: StoredCell, members: Members) -> None:
    groups = planted(cell)
    targets = np.concatenate([np.array(group) for group in groups])
    number = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    block = np.array([cell.cell.design.block(int(m)) for m in members.member])
    used = fitted(block)
    included, margin = members.included[used], members.margin[:, targets].astype(float)
    counted = counting(included, members.correct(cell.labels)[used][:, targets])
    lasso = datamodels(members.included, margin, counted, block)
    rankings = {
        "counting": counted,
        "counting log odds": _differences(included, margin[used]),
        "datamodel": lasso.weights,
    }
    found = pd.DataFrame(
        {
            name: [_precision(weights[i], groups[number[i]], target) for i, target in enumerate(targets)]
            for name, weights in rankings.items()
        }
    )
    by_group = found.groupby(number).mean()
    print(f"{len(members)} members, of which {used.sum()} are fitted")
    print(f"  {len(targets)} examples of {len(groups)} sub-populations")
    print(f"  LDS {lasso.lds.mean():.3f}, counted {lasso.lds_counted.mean():.3f}")
    print("  average precision")
    for name in rankings:
        change = by_group[name] - by_group["counting"]
        half = student.ppf(0.975, len(change) - 1) * change.std() / np.sqrt(len(change))
        ends = f"[{change.mean() - half:+.3f}, {change.mean() + half:+.3f}]"
        print(f"  {name:18} {by_group[name].mean():.3f}, to counting {change.mean():+.3f} {ends}")
    print("  by size of the sub-population")
    by_size = found.groupby(np.array([len(groups[i]) for i in number])).mean().round(3)
    print(by_size.to_string())


def _differences(included: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Mean log odds of each target with each training example less that without it, [t, n_train]."""
    inside = included.astype(float)
    count, total = inside.sum(0), margin.T @ inside
    difference: np.ndarray = total / count - (margin.sum(0)[:, None] - total) / (len(inside) - count)
    return difference


def _precision(weights: np.ndarray, group: tuple[int, ...], target: int) -> float:
    """Average precision of a ranking of all other training examples for the companions of a target."""
    others = np.arange(len(weights)) != target
    return float(average_precision_score(np.isin(np.arange(len(weights)), group)[others], weights[others]))


if __name__ == "__main__":
    main()
