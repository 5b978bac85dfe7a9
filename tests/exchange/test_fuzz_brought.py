"""Anything at all is refused in one line, or read so that accuracies equal those recomputed another way.

Each check runs a few examples in the fast subset, and 2,000 in the slow one.
"""

import csv
import itertools
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from memreg.data import load
from memreg.data.arrays import from_mapping
from memreg.data.derived import derive
from memreg.data.name import Options
from memreg.data.tree import is_system
from memreg.errors import MemregError
from memreg.exchange.layouts import read
from memreg.grid import load_grid
from memreg.members import Members
from memreg.recipe import Recipe
from memreg.registry.shards import read_shard, write_shard
from memreg.training import train_member

FEW, MANY = 15, 2000
RECIPE = Recipe(model="vgg3-w4", epochs=1, batch_size=4, learning_rate=0.5)


def fuzzed(**strategies):
    """The check as two tests: `test_<name>` of few examples and `test_<name>_at_length` of many."""

    def make(check):
        def sized(examples):
            quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
            limits = settings(
                max_examples=examples, deadline=None, suppress_health_check=quiet, database=None
            )
            return limits(given(**strategies)(check))

        name = check.__name__.removeprefix("check_")
        globals()[f"test_{name}"] = sized(FEW)
        globals()[f"test_{name}_at_length"] = pytest.mark.at_length(sized(MANY))
        return check

    return make


def one_line(error: MemregError) -> None:
    assert str(error)
    assert "\n" not in str(error), error
    assert "Traceback" not in str(error)


# --- labels

INTEGERS = st.sampled_from([np.dtype(code) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")])


def labels_of(n):
    """Few different values, so that classes have several examples, or any."""
    few = st.lists(st.sampled_from([0, 1, 2, 3, 7, 70_000, 2**31, 2**63 + 5]), min_size=n, max_size=n)
    some = few.map(lambda values: np.array(values, np.uint64))
    low = few.map(lambda values: np.array([v % 100 for v in values], np.int8))
    anything = INTEGERS.flatmap(lambda dtype: arrays.arrays(dtype, n))
    return st.one_of(some, low, anything).flatmap(
        lambda a: st.sampled_from([a, a[:, None], a.astype(object), a.astype(str)])
    )


@fuzzed(
    train=st.integers(2, 9).flatmap(labels_of),
    test=st.integers(1, 5).flatmap(labels_of),
    seed=st.integers(0, 99),
    noise=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
)
def check_labels_as_people_have_them(train, test, seed, noise):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (len(a), 8, 8), np.uint8) for a in (train, test)]
    mapping = {
        "train_images": images[0],
        "train_labels": train,
        "test_images": images[1],
        "test_labels": test,
    }
    try:
        dataset = derive(from_mapping("fuzz", mapping), Options(noise=noise, seed=seed))
    except MemregError as error:
        one_line(error)
        return
    truth = [int(v) if isinstance(v, bool) else v for a in (train, test) for v in np.reshape(a, -1).tolist()]
    called = dataset.class_labels or tuple(range(dataset.classes))
    clean = np.concatenate(
        [dataset.train_labels if noise == 0 else dataset.clean_labels, dataset.test_labels]
    )
    assert [str(called[i]) for i in clean] == [str(v) for v in truth]
    assert len({*called}) == dataset.classes == len({str(v) for v in truth})
    if noise:
        assert {*dataset.train_labels.tolist()} <= {*dataset.clean_labels.tolist()}
        assert (dataset.train_labels != dataset.clean_labels).sum() == round(noise * dataset.n_train)
    included = rng.random(dataset.n_train) < 0.7
    included[0] = True
    member = train_member(RECIPE, dataset, included, seed)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "0.arrow"
        write_shard(path, Members.of([member]), "cell", "data")
        stored = read_shard(path, "cell", "data")
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    right = [
        stored.predicted[0, i] != 65535 and called[int(stored.predicted[0, i])] == called[int(label)]
        for i, label in enumerate(labels)
    ]
    assert stored.correct(labels)[0].tolist() == right
    assert stored.predicted.max() < dataset.classes or stored.diverged[0]


# --- masks

ANY_ARRAY = st.one_of(
    arrays.arrays(
        st.sampled_from(["?", "i1", "u1", "f4", "i8"]), arrays.array_shapes(max_dims=3, max_side=4)
    ),
    arrays.arrays("?", st.tuples(st.just(3), st.integers(1, 4))),
    arrays.arrays("i1", (3, 4), elements=st.integers(-1, 2)),
    arrays.arrays("f8", (3, 4), elements=st.sampled_from([0.0, 1.0, 0.5, np.nan])),
)


@fuzzed(
    mask=ANY_ARRAY,
    right=ANY_ARRAY,
    test=st.none() | ANY_ARRAY,
    labels=st.none() | arrays.arrays("i8", 4, elements=st.integers(-1, 70_000)),
)
def check_masks(mask, right, test, labels):
    given_ = {"trainset_mask": mask, "trainset_correctness": right}
    given_ |= {} if test is None else {"testset_correctness": test}
    given_ |= {} if labels is None or test is not None else {"train_labels": labels}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.npz"
        np.savez(path, **given_)
        try:
            found = read(path)
        except MemregError as error:
            one_line(error)
            return
        shard = Path(directory) / "0.arrow"
        write_shard(shard, found.members, "cell", "data")
        stored = read_shard(shard, "cell", "data")
    whole = np.asarray(right if test is None else np.concatenate([right, test], 1))
    for member in range(len(mask)):
        expected = [bool(v) for v in whole[member]]
        assert stored.correct(found.labels)[member].tolist() == expected
        assert stored.included[member].tolist() == [bool(v) for v in mask[member]]


# --- grids

SCALARS = st.one_of(
    st.sampled_from(
        ["digits", "vgg3-w8", "010", "1:30", "2024-01-01", "yes", "no", "~", "1e-3", "30", "'30'", "0.5"]
    ),
    st.integers(-2, 40).map(str),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3).map(lambda v: "[" + ", ".join(v) + "]"), max_leaves=4
)
KEYS = st.sampled_from(
    [
        "dataset",
        "model",
        "epochs",
        "members",
        "r",
        "weight_decay",
        "design",
        "augmentation",
        "<<",
        "name",
        "x",
    ]
)
CELL = st.lists(st.tuples(KEYS, VALUES), min_size=0, max_size=4).map(
    lambda pairs: (
        "{dataset: digits, model: vgg3-w8, "[: 100 if pairs and len(pairs) % 2 else 1]
        + ", ".join(f"{k}: {v}" for k, v in pairs)
        + "}"
    )
)
LIKELY = st.tuples(
    st.sampled_from(["name: g", "name: 2024-01-01", "name: 7", ""]),
    st.sampled_from(
        ["members: 4", "members: 010", "members: 3\nmembers: 4", "defaults: {epochs: [1, 2]}", ""]
    ),
    st.lists(CELL, max_size=3),
).map(lambda p: "\n".join([p[0], p[1], "cells:", *(f"  - {c}" for c in p[2])]))


@fuzzed(text=st.one_of(LIKELY, LIKELY, st.text(max_size=60), VALUES))
def check_grids(text):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "g.yaml"
        path.write_text(text, "utf-8", newline="")
        try:
            grid = load_grid(str(path))
        except MemregError as error:
            one_line(error)
            return
    content = yaml.safe_load(text)
    planned = []
    for entry in content["cells"]:
        whole = {"members": content.get("members", 40), **(content.get("defaults") or {}), **entry}
        axes = [v if isinstance(v, list) else [v] for v in whole.values()]
        planned += [dict(zip(whole, values, strict=True)) for values in itertools.product(*axes)]
    assert len(planned) == len(grid.cells)
    for flat, cell in zip(planned, grid.cells, strict=True):
        assert (flat["dataset"], flat["model"]) == (cell.dataset, cell.recipe.model)
        assert int(flat["members"]) == cell.members
        assert int(flat.get("epochs", 100)) == cell.recipe.epochs
        assert float(flat.get("weight_decay", 1e-5)) == cell.recipe.weight_decay
        assert float(flat.get("augmentation", 1)) == cell.recipe.augmentation
    assert not any(key in text for key in ("010", "1:30", "2024-01-01\nmembers", "members: 3\nmembers"))


# --- folders

NAMES = st.sampled_from(["ant", "bee", "cat", ".ipynb_checkpoints", "__MACOSX", "deep", "images"])
FILES = st.sampled_from(
    ["0.png", "1.PNG", "2.bmp", "._0.png", "Thumbs.db", ".DS_Store", "a.txt", "b.gif", "c"]
)
PARTS = st.sampled_from(["train", "train", "test", "val"])
PLACE = st.tuples(PARTS, st.lists(NAMES, max_size=2)).map(lambda p: "/".join([p[0], *p[1]]))


@fuzzed(
    files=st.lists(st.tuples(PLACE, FILES), max_size=8),
    links=st.lists(st.tuples(PLACE, st.sampled_from(["link", "dog", "bee"]), PLACE), max_size=3),
    whole=st.booleans(),
)
def check_folders(files, links, whole):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "set"
        root.mkdir()
        if whole:
            files = [*files, *((f"{p}/{c}", "9.png") for p in ("train", "test") for c in ("ant", "bee"))]
        written = dict.fromkeys(f"{place}/{name}" for place, name in files)
        for number, file in enumerate(written):
            path = root / file
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                continue
            readable = path.suffix.lower() in (".png", ".bmp") and not path.name.startswith("._")
            if readable:
                Image.new("RGB", (4, 4), (number + 1,) * 3).save(path)
            else:
                path.write_bytes(b"none")
        for place, name, target in links:
            at = root / place / name
            if at.parent.is_dir() and not at.exists() and not at.is_symlink():
                at.symlink_to(root / target)
        try:
            dataset = load(f"folder:{root}")
        except MemregError as error:
            one_line(error)
            return
        classes = sorted(e.name for e in os.scandir(root / "train") if e.is_dir() and not is_system(e.name))
        assert dataset.classes == len(classes)
        found = Counter(
            zip(dataset.train_images[:, 0, 0, 0].tolist(), dataset.train_labels.tolist(), strict=True)
        )
        assert max(found.values()) == 1, "an image counts once"
        assert len({image for image, _ in found}) == len(found), "and in one class"
        images = {image for image, _ in found}
        assert images in [reachable(root, ("train", held_out), classes) for held_out in ("test", "val")]
        for image, label in found:
            (file,) = (f for i, f in enumerate(written) if i + 1 == image)
            inside = file.split("/")
            real = (
                not any(map(is_system, inside))
                and inside[0] == "train"
                and len(inside) > 2
                and not (root / "train" / inside[1]).is_symlink()
            )
            if real:
                assert classes[label] == inside[1], "what a class holds is its own"


def reachable(root, parts, classes):
    """Brightness of every image below these classes of the first part, by any path, each directory once; what
    the other part holds is its own, also where a link leads there."""
    seen, found = {(root / part).resolve() for part in parts}, set()
    for directory, folders, _ in os.walk(root / parts[1]):
        folders[:] = [name for name in folders if not is_system(name)]
        seen.add(Path(directory).resolve())
    waiting = [root / parts[0] / kind for kind in classes]
    while waiting:
        directory = waiting.pop().resolve()
        if directory in seen:
            continue
        seen.add(directory)
        for entry in directory.iterdir():
            if is_system(entry.name):
                continue
            if entry.is_dir():
                waiting.append(entry)
            elif entry.suffix.lower() in (".png", ".bmp"):
                with Image.open(entry) as image:
                    found.add(image.getpixel((0, 0))[0])
    return found


# --- files of predictions

CLASSES = st.sampled_from(["0", "1", "2", "7", "70000", "cat", "NA", "", "-1", "0.5", "nan"])
FLAGS = st.sampled_from(["0", "1", "True", "False", "true", "", "2", "1.0"])
CHANGED = st.sampled_from(["member", "example", "included", "correct", "label", "predicted"])
CHANGES = st.lists(st.tuples(st.integers(0, 11), CHANGED, CLASSES | FLAGS), max_size=3)


@fuzzed(
    seed=st.integers(0, 999),
    names=st.sampled_from([("0", "1"), ("cat", "NA"), ("70000", "4"), ("1", "2")]),
    changes=CHANGES,
    columns=st.sets(st.sampled_from(["correct", "label", "predicted", "split"])),
    twice=st.booleans(),
)
def check_files_of_predictions(seed, names, changes, columns, twice):
    rng = np.random.default_rng(seed)
    rows = []
    for m, e in itertools.product(range(3), range(4)):
        label, predicted = names[e % 2], names[int(rng.integers(2))]
        rows.append(
            {
                "member": str(m),
                "split": "train",
                "example": str(e),
                "included": str((m + e) % 2),
                "label": label,
            }
            | {"predicted": predicted, "correct": str(int(label == predicted))}
        )
    for row, column, value in changes:
        rows[row][column] = value
    kept = ["member", "example", "included", *sorted(columns)]
    header = [*kept, "correct"] if twice and "correct" in columns else kept
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([row[name] for name in header] for row in rows)
        try:
            found = read(path)
        except MemregError as error:
            one_line(error)
            return
    assert header == kept, "no column twice"
    true = {"1", "true", "1.0"}
    order = sorted(rows, key=lambda r: (int(r["member"]), int(r["example"])))
    if {"label", "predicted"} <= columns:
        right = [r["predicted"] not in ("-1",) and same(r["label"], r["predicted"]) for r in order]
    else:
        right = [r["correct"].lower() in true for r in order]
    assert found.members.correct(found.labels).reshape(-1).tolist() == right
    assert found.members.included.reshape(-1).tolist() == [r["included"].lower() in true for r in order]
    if {"label", "predicted", "correct"} <= columns:
        assert right == [r["correct"].lower() in true for r in order]


def same(a, b):
    return a == b or (a.isdecimal() and b.isdecimal() and int(a) == int(b))
