"""How many planted wrong labels the label check finds first, beside cleanlab and the memorization score.

    python benchmarks/labels.py CELL [--first 100] [--members 20,40] [--tracking-uri URI]

All three use the same networks of a stored cell whose data set has planted wrong labels: the label check
their votes; cleanlab's label quality the mean of their probabilities; the score both those that saw an
example and those that did not. Needs the extra `cleanlab`.
"""

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from memreg.notebook import Registry
from memreg.registry.stored_cell import Part, StoredCell
from memreg.scoring.label_check import label_check
from memreg.scoring.proxies import label_quality


def ranked(cell: StoredCell) -> dict[str, NDArray[np.int64]]:
    """Training examples by each, those first that are most surely wrong."""
    by = {"cleanlab": label_quality(cell), "score": cell.scores()["score"].to_numpy()}
    order = {name: np.argsort(-values, kind="stable") for name, values in by.items()}
    return {"label check": label_check(cell)["example"].to_numpy(), **order}


def main() -> None:
    """Print a row per ranking and number of networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell")
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--members", default="")
    parser.add_argument("--tracking-uri")
    given = parser.parse_args()
    whole = Registry(given.tracking_uri).cell(given.cell)
    known = whole.members("member").member
    clean = whole.examples["clean_label"].to_numpy()[: whole.n_train]
    wrong = clean != whole.train_labels
    print(f"{whole} of {whole.cell.dataset}: of {len(wrong)} labels {wrong.sum()} are planted wrong")
    first = f"of the first {given.first}"
    print(f"networks {'ranking':12} {first:>18} {'of as many as wrong':>20} {'class is true':>14}")
    found = []
    for k in [int(n) for n in given.members.split(",") if n] or [len(known)]:
        cell = whole if k >= len(known) else Part(whole, known[:k].tolist())
        proposed = label_check(cell).set_index("example")["proposed"].reindex(range(len(wrong))).to_numpy()
        for name, order in ranked(cell).items():
            top, all_ = order[: given.first], order[: wrong.sum()]
            right = (proposed[top] == clean[top])[wrong[top]].mean()
            row = {"networks": k, "ranking": name, "first": int(wrong[top].sum()),
                   "recall": float(wrong[all_].mean()), "true_class": float(right)}  # fmt: skip
            found.append(row)
            print(f"{k:8} {name:12} {row['first']:18} {row['recall']:20.1%} {right:14.1%}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
