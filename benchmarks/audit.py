"""Does the audit find wrong labels? A folder of photographs with some planted, learned by heart.

    python benchmarks/audit.py DIR [--data-dir DATA] [--images 500] [--wrong 60] [--members 60]

Writes a folder data set of three classes of CIFAR-10 into DIR, `images` of each for training and 30 for
testing; `wrong` of the former carry another class's label. Trains RECIPE on it, without augmentation, in
DIR's registry, and counts the wrong labels among those looked at first: by score, and by what the members
that did not see an example say instead. Stopped, it goes on where it was.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from memreg import Registry
from memreg.data import load
from memreg.notebook import StoredCell

CLASSES = {"airplane": 0, "horse": 7, "ship": 8}
TEST_IMAGES = 30
RECIPE = "--model resnet8-w16 --augmentation 0 --epochs 30 --batch-size 16 --learning-rate 0.1"
LOOKED_AT = (10, 20, 30, 50, 75)


def write(directory: Path, images: int, wrong: int, data_dir: Path | None) -> list[str]:
    """The folder, unless it is there; files with a wrong label, as `train/CLASS/NAME`."""
    told = directory / "wrong.json"
    if told.exists():
        return list(json.loads(told.read_text()))
    cifar10, names = load("cifar10", data_dir), list(CLASSES)
    rng, planted = np.random.default_rng(0), []
    for part, labels, pictures, n in (
        ("train", cifar10.train_labels, cifar10.train_images, images),
        ("test", cifar10.test_labels, cifar10.test_images, TEST_IMAGES),
    ):
        rows = [(k, i) for k, c in enumerate(CLASSES.values()) for i in np.flatnonzero(labels == c)[:n]]
        changed = set(rng.choice(len(rows), wrong if part == "train" else 0, replace=False).tolist())
        for number, (kind, i) in enumerate(rows):
            to = (kind + 1 + rng.integers(2)) % 3 if number in changed else kind
            file = directory / "photos" / part / names[to] / f"{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[i]).save(file)
            if number in changed:
                planted.append(f"{part}/{names[to]}/{file.name}")
    told.write_text(json.dumps(planted))
    return planted


def found(cell: StoredCell, planted: list[str]) -> dict[str, list[float]]:
    """Wrong labels among the first of LOOKED_AT, by two orders."""
    table, members = cell.described(cell.scores()), cell.members("included", "predicted")
    wrong = table["file"].isin(planted).to_numpy()
    labels, out = cell.train_labels, ~members.included
    said = np.asarray(members.predicted)[:, : cell.n_train]
    share = np.stack([((said == c) & out).sum(0) for c in range(len(CLASSES))], 1) / out.sum(0)[:, None]
    own = share[np.arange(cell.n_train), labels]
    share[np.arange(cell.n_train), labels] = -1
    orders = {"score": table["score"].to_numpy(), "other class - own class": share.max(1) - own}
    return {name: [expected(key, wrong, k) for k in LOOKED_AT] for name, key in orders.items()}


def expected(key: np.ndarray, wrong: np.ndarray, k: int) -> float:
    """Wrong labels among the k examples with the highest keys, on average over the orders of what is tied."""
    last = np.sort(key)[-k]
    above, tied = key > last, key == last
    return round(float(wrong[above].sum() + (k - above.sum()) * wrong[tied].mean()), 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--data-dir", type=Path)
    for name, default in (("images", 500), ("wrong", 60), ("members", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    directory = given.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    planted = write(directory, given.images, given.wrong, given.data_dir)
    uri = f"sqlite:///{directory}/mlflow.db"
    command = f"train --study audit --dataset folder:{directory}/photos {RECIPE} --members {given.members}"
    program = [str(Path(sys.executable).with_name("memreg")), *command.split()]
    subprocess.run(program, cwd=directory, check=True, env={**os.environ, "MLFLOW_TRACKING_URI": uri})
    registry = Registry(uri)
    cell = registry.cell(registry.cells("audit")["cell"].iloc[-1])
    print(f"{len(planted)} wrong labels of {cell.n_train}, so many among the first {LOOKED_AT}:")
    result = found(cell, planted)
    for name, counts in result.items():
        print(f"by {name}: {counts}")
    print(json.dumps({key: cell.metrics[key] for key in ("test_accuracy", "included_accuracy")} | result))


if __name__ == "__main__":
    main()
