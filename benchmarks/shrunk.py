"""How near do scores from 40 members come to those from all other members of a cell?

    mlflow run . -e corr_grid --env-manager local -P grid=benchmarks/many-members.yaml
    python benchmarks/shrunk.py [--study many-members] [--tracking-uri URI] [--members 40] [--quick]

The first command trains six cells of 680 members, which took 50 minutes on two busy cores. Each cell is cut
into parts of 40 members. A part's scores are compared with those counted from all members outside of it, and
the figures are means over parts:

`error`      mean absolute error over examples, and as a share of counting's. What is called true has an error
             itself, which no estimate can escape;
`corrected`  root mean square error without the sampling variance of what is called true, as a share of
             counting's;
`top 2 %`    mean absolute and mean error of the examples that score highest by one half of the outside
             members, against the other half, so that they are not chosen for noise;
`precision`  of the K examples that an estimate puts highest, the share that truly score as high as the K-th
             (ties count);
`covered`    examples whose score is no farther from what is called true than both 95 % intervals allow.

`beta-binomial` is `shrunk` without log odds of excluding members: counts, with a prior from including ones.
--quick takes three parts of each cell.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import memreg
from memreg.estimators.beta_binomial import beta_posterior
from memreg.estimators.counts import Counts, tally
from memreg.estimators.gaussian import LIMIT, Confidence, confidence, normal_scores
from memreg.estimators.scores import scores
from memreg.estimators.shrunk import posterior_scores
from memreg.estimators.spline import spline

KS = (20, 50, 100)
ESTIMATORS = ("counted", "gaussian", "beta-binomial", "shrunk")
FIGURES = ("error", "square", "top", "bias", *(f"precision{k}" for k in KS), "covered")


@dataclass(frozen=True)
class Cell:
    """Members that did not diverge, [members, n_train] each."""

    name: str
    included: np.ndarray
    correct: np.ndarray
    margin: np.ndarray
    """As shrunk takes it: within LIMIT."""

    def counts(self, rows: np.ndarray) -> Counts:
        return tally(self.included[rows], self.correct[rows], np.zeros(rows.sum(), int)).total

    def confidences(self, rows: np.ndarray) -> tuple[Confidence, Confidence]:
        """Of excluding and of including members."""
        included, correct, margin = self.included[rows], self.correct[rows], self.margin[rows]
        return confidence(included, correct, margin), confidence(~included, correct, margin)


def read(tracking_uri: str | None, study: str) -> Iterator[Cell]:
    registry = memreg.Registry(tracking_uri)
    table = registry.cells(study)
    for hash_, model, dataset in table[["cell", "model", "dataset"]].itertuples(index=False):
        known = registry.cell(hash_).labels
        members = registry.predictions(hash_)
        kept, n = ~members.diverged, members.n_train
        correct = members.correct(known)[kept, :n]
        margin = np.clip(members.margin[kept, :n], -LIMIT, LIMIT)
        yield Cell(f"{model}, {dataset}", members.included[kept], correct, margin)


def estimates(cell: Cell, rows: np.ndarray) -> dict[str, pd.DataFrame]:
    """Tables of scores, by estimator."""
    counts, (excluded, included) = cell.counts(rows), cell.confidences(rows)
    counted = scores(counts)
    by = spline(included.total / included.count)
    a, b = beta_posterior(by, counts.included_correct, counts.included)
    c, d = beta_posterior(by, counts.excluded_correct, counts.excluded)
    tables = (
        counted,
        normal_scores(counts, excluded),
        pd.DataFrame({"score": a / (a + b) - c / (c + d), "low": np.nan, "high": np.nan}),
        posterior_scores(counts, excluded, included),
    )
    return dict(zip(ESTIMATORS, tables, strict=True))


def compare(cell: Cell, members: int, parts: int | None) -> dict[str, dict[str, float]]:
    """FIGURES by estimator, means over parts."""
    found: dict[str, list[list[float]]] = {name: [] for name in ESTIMATORS}
    every = np.arange(len(cell.included))
    for part in range(len(every) // members)[:parts]:
        own = every // members == part
        first, second = (~own & (every // 10 % 2 == i) for i in (0, 1))
        true = scores(cell.counts(~own))
        by_halves = [cell.counts(rows).score for rows in (first, second)]
        for name, table in estimates(cell, own).items():
            found[name].append(figures(table, true, *by_halves))
    return {
        name: dict(zip(FIGURES, np.mean(values, 0).tolist(), strict=True)) for name, values in found.items()
    }


def figures(table: pd.DataFrame, true: pd.DataFrame, first: np.ndarray, second: np.ndarray) -> list[float]:
    score, truth = table["score"].to_numpy(), true["score"].to_numpy()
    error = score - truth
    p1, n1, p0, n0 = (
        true[f"{kind}_{what}"] for kind in ("included", "excluded") for what in ("accuracy", "count")
    )
    noise = p1 * (1 - p1) / (n1 - 1) + p0 * (1 - p0) / (n0 - 1)
    top = np.argsort(-first)[: max(20, len(truth) // 50)]
    order, ranked = np.argsort(-score, kind="stable"), np.sort(truth)[::-1]
    precision = [(truth[order[:k]] >= ranked[k - 1]).mean() for k in KS]
    down = np.hypot(score - table["low"], true["high"] - truth)
    up = np.hypot(table["high"] - score, truth - true["low"])
    covered = (error <= down) & (-error <= up)
    return [
        np.abs(error).mean(),
        (error**2 - noise).mean(),
        np.abs(score - second)[top].mean(),
        (score - second)[top].mean(),
        *precision,
        covered.mean() if table["low"].notna().all() else np.nan,
    ]


def show(name: str, found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Prints a cell's rows; the figures with shares of counting's."""
    counted, rows = found["counted"], {}
    heads = ("error", "share", "corrected", "top 2 %", "", "precision", "20, 50,", "100", "covered")
    print(f"\n{name}\n{'':14}" + "".join(f"{head:>11}" for head in heads))
    for estimator, f in found.items():
        share = f["error"] / counted["error"]
        corrected = float(np.sqrt(max(f["square"], 0) / counted["square"]))
        values = f["error"], share, corrected, f["top"], f["bias"], *(f[f"precision{k}"] for k in KS)
        print(f"{estimator:14}" + "".join(f"{v:11.3f}" for v in values) + f"{f['covered']:11.1%}")
        rows[estimator] = {"share": share, "corrected": corrected} | f
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="many-members")
    parser.add_argument("--tracking-uri")
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    cells = read(given.tracking_uri, given.study)
    rows = [show(cell.name, compare(cell, given.members, 3 if given.quick else None)) for cell in cells]
    summarise(rows, given.members)


def summarise(rows: list[dict[str, dict[str, float]]], members: int) -> None:
    """One line of JSON."""

    def better(row: dict[str, dict[str, float]], k: int) -> bool:
        """Means of parts differ in their last bits where as many examples are right."""
        return row["shrunk"][f"precision{k}"] > row["counted"][f"precision{k}"] + 1e-9

    shares = [row["shrunk"]["share"] for row in rows]
    found = {
        "members": members,
        "cells": len(rows),
        "shares": [round(share, 3) for share in shares],
        "corrected": [round(row["shrunk"]["corrected"], 3) for row in rows],
        "worst_share": round(max(shares), 3),
        "covered": [round(row["shrunk"]["covered"], 3) for row in rows],
        "cells_where_precision_is_better": sum(all(better(row, k) for k in KS) for row in rows),
    }
    print(f"\n{json.dumps(found)}")


if __name__ == "__main__":
    main()
