# ruff: noqa: E501, PT017
"""What people bring, a row each, and the value or the line that is right.

`seen` says who reported such a thing of a public project; rows without it were tried here.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import brought
import numpy as np
import pandas as pd
import pytest
from brought import BOTH, MASK, RIGHT, datamodels, folder, image, lira, npz, png, privacy_meter, runs, table

from memreg.data import load
from memreg.engines.local import _code, _died
from memreg.errors import MemregError
from memreg.exchange.layouts import read
from memreg.grid import load_grid
from memreg.registry.connection import connect
from memreg.registry.location import Place, gone, place
from memreg.show import plain_text, terminal


class Row(NamedTuple):
    what: str
    make: object
    right: object
    """A value, or the line as a regular expression."""
    seen: str = ""


def labelled(train, test, **more):
    """(classes, training labels, test labels, what the data called the classes)"""

    def make(tmp):
        d = load(npz(tmp / "x.npz", train, test, **more))
        return d.classes, d.train_labels.tolist(), d.test_labels.tolist(), d.class_labels

    return make


LABELS = [
    Row("from 1", labelled([1, 2, 3], [1, 3]), (3, [0, 1, 2], [0, 2], (1, 2, 3)), "TencentGameMate/gnn_cross_lingual#5"),
    Row("gaps", labelled([0, 5, 9], [9]), (3, [0, 1, 2], [2], (0, 5, 9))),
    Row("ids of 70,000", labelled([70_000, 4, 70_000], [4]), (2, [1, 0, 1], [0], (4, 70_000))),
    Row("grey values as labels", labelled(np.uint8([0, 192, 255]), [255]), (3, [0, 1, 2], [2], (0, 192, 255)), "milesial/Pytorch-UNet#291"),
    Row("shape (n, 1)", labelled([[0], [1]], [[1]]), (2, [0, 1], [1], None), "fchollet/deep-learning-with-python-notebooks#216"),
    Row("uint64 above int64", labelled(np.uint64([2**63 + 1, 2**63]), [7]), (3, [2, 1], [0], (7, 2**63, 2**63 + 1))),
    Row("int8 and int64", labelled(np.int8([0, 1]), np.int64([300])), (3, [0, 1], [2], (0, 1, 300))),
    Row("a class in the test set alone", labelled([0, 1], [2]), (3, [0, 1], [2], None)),
    Row("booleans", labelled([True, False], [True]), (2, [1, 0], [1], None)),
    Row("names", labelled(["cat", "ant"], ["cat"]), (2, [1, 0], [1], ("ant", "cat")), "EricFillion/happy-transformer#248"),
    Row("one class", labelled([3, 3], [3]), "only one class"),
    Row("-1 for no label", labelled([0, 1, -1], [0]), "go from -1 to 1: .* stand for no label", "EricFillion/happy-transformer#248"),
    Row("one column for each class", labelled(np.eye(3, dtype=int), [0]), r"take \.argmax\(1\)", "fchollet/deep-learning-with-python-notebooks#216"),
    Row("fractions", labelled([0.0, 1.0], [0.0]), r"\.astype\(int\), if every"),
    Row("classes= by the data's own labels", lambda t: load(npz(t / "x.npz", [1, 2, 3], [2, 3]) + "+classes=3.2").train_labels.tolist(), [1, 0]),
    Row("classes= of a class that is not there", lambda t: load(npz(t / "x.npz", [1, 2, 3], [2]) + "+classes=0.1"), "no class 0: choose from 1, 2, 3"),
    Row("classes= without a training example", lambda t: load(npz(t / "x.npz", [0, 1], [2]) + "+classes=1.2"), "no training example of class 2"),
    Row("noise names classes that are trained", lambda t: sorted({*load(npz(t / "x.npz", [0, 2] * 9, [1]) + "+noise=1").train_labels.tolist()}), [0, 2]),
]  # fmt: skip


def pictured(change, test="test"):
    """(labels, brightness of each training image, test images)"""

    def make(tmp):
        root = folder(tmp / "set", test)
        change(root)
        d = load(f"folder:{root}")
        return d.train_labels.tolist(), d.train_images[:, 0, 0, 0].tolist(), d.n_test

    return make


PLAIN = ([0, 1], [10, 20], 2)


def turned(root):
    picture = brought.Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 10).convert("RGB")
    exif = brought.Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(root / "train" / "ant" / "0.png", exif=exif)


def see_through(root, alpha):
    picture = brought.Image.new("RGBA", (4, 4), (10, 10, 10, alpha))
    picture.save(root / "train" / "ant" / "0.png")


def palette(root, transparent):
    picture = brought.Image.new("P", (4, 4), 1)
    picture.putpalette([9, 9, 9, 10, 10, 10])
    picture.save(root / "train" / "ant" / "0.png", **({"transparency": 1} if transparent else {}))


def animated(root, name, **options):
    frames = [brought.Image.new("RGB", (4, 4), (v,) * 3) for v in (10, 200)]
    (root / "train" / "ant" / "0.png").unlink()
    frames[0].save(root / "train" / "ant" / name, save_all=True, append_images=frames[1:], **options)


def unlabelled(root):
    image(root / "val" / "ant" / "0.png")
    (root / "test").rename(root / "old")
    image(root / "test" / "images" / "1.png")


def leaves(*names):
    def change(root):
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"no image")

    return change


FOLDERS = [
    Row(".ipynb_checkpoints is no class", pictured(lambda r: image(r / "train/.ipynb_checkpoints/a.png")), PLAIN, "pytorch/vision#2831"),
    Row("... and no test class", pictured(lambda r: image(r / "test/.ipynb_checkpoints/a.png")), PLAIN, "open-mmlab/mmpretrain#507"),
    Row("... nor images in a class", pictured(lambda r: image(r / "train/ant/.ipynb_checkpoints/0-checkpoint.png")), PLAIN, "GoGoDuck912/Self-Correction-Human-Parsing#37"),
    Row(".DS_Store", pictured(leaves("train/.DS_Store", "train/ant/.DS_Store")), PLAIN, "pytorch/vision#79"),
    Row("._0.png of macOS", pictured(leaves("train/ant/._0.png")), PLAIN),
    Row("__MACOSX", pictured(leaves("train/__MACOSX/ant/._0.png")), PLAIN),
    Row("Thumbs.db and desktop.ini", pictured(leaves("train/ant/Thumbs.db", "train/bee/desktop.ini")), PLAIN),
    Row("@eaDir of a NAS", pictured(lambda r: image(r / "train/@eaDir/0.png")), PLAIN),
    Row("an empty folder", pictured(lambda r: (r / "train/wasp").mkdir()), "train/wasp has no images", "pytorch/vision#4925"),
    Row("a link back to the top", pictured(lambda r: (r / "train/ant/up").symlink_to(r / "train")), PLAIN),
    Row("a link to itself", pictured(lambda r: (r / "train/ant/loop").symlink_to(r / "train/ant")), PLAIN),
    Row("two links to one directory", pictured(lambda r: [image(r / "more/9.png", 11), (r / "train/ant/a").symlink_to(r / "more"), (r / "train/ant/b").symlink_to(r / "more")]), ([0, 0, 1], [10, 11, 20], 2)),
    Row("a class that is another by a link", pictured(lambda r: (r / "train/cat").symlink_to(r / "train/ant")), "train/cat has no images: it is train/ant by a link"),
    Row("transparency that does not show", pictured(lambda r: see_through(r, 255)), PLAIN),
    Row("transparency that shows", pictured(lambda r: see_through(r, 0)), r"0\.png is transparent in places", "seebye/ueberzug#85"),
    Row("a palette", pictured(lambda r: palette(r, False)), PLAIN),
    Row("a palette with transparency", pictured(lambda r: palette(r, True)), r"0\.png is transparent in places", "seebye/ueberzug#85"),
    Row("EXIF orientation", pictured(turned), ([0, 1], [150, 20], 2)),
    Row("an animated PNG", pictured(lambda r: animated(r, "0.png")), r"0\.png holds 2 pictures"),
    Row("an animated WebP", pictured(lambda r: animated(r, "0.webp", lossless=True)), r"0\.webp holds 2 pictures"),
    Row("a TIFF of several pages", pictured(lambda r: animated(r, "0.tif")), r"0\.tif holds 2 pictures"),
    Row("16 bits, grey", pictured(lambda r: png(r / "train/ant/0.png", 0, 16, 1)), r"0\.png has more than 8 bits", "python-pillow/Pillow#5991"),
    Row("16 bits, RGB, which PIL cuts", pictured(lambda r: png(r / "train/ant/0.png", 2, 16, 3)), r"0\.png has more than 8 bits", "python-pillow/Pillow#880"),
    Row("16 bits with alpha", pictured(lambda r: png(r / "train/ant/0.png", 6, 16, 4)), r"0\.png has more than 8 bits", "python-pillow/Pillow#880"),
    Row("CMYK", pictured(lambda r: [image(r / "train/ant/0.jpg", 10, "CMYK"), (r / "train/ant/0.png").unlink()]), r"0\.jpg has colours that are not RGB"),
    Row("a 16-bit PPM", pictured(lambda r: (r / "train/ant/1.ppm").write_bytes(b"P6\n4 4\n65535\n" + bytes(96))), r"1\.ppm has more than 8 bits"),
    Row("grey of 1 bit", pictured(lambda r: image(r / "train/ant/0.png", 255, "1")), ([0, 1], [255, 20], 2), "DaemonEngine/Urcheon#61"),
    Row("test/ without labels", pictured(unlabelled), ([0, 1], [10, 20], 1), "raoyongming/DynamicViT#17"),
    Row("... and no val/", pictured(lambda r: [(r / "test").rename(r / "old"), image(r / "test/images/1.png")]), "test/images has no counterpart", "huggingface/pytorch-image-models#1081"),
    Row("test/ with images alone", pictured(lambda r: [(r / "test").rename(r / "old"), image(r / "test/1.png")]), "test has no images: it needs one folder for each class", "facebookresearch/FixRes#32"),
    Row("test/ is train/ by a link", pictured(lambda r: [(r / "test").rename(r / "old"), (r / "test").symlink_to(r / "train")]), "test has no images: it is train/ant by a link"),
    Row("only .gif", pictured(lambda r: [leaves("train/wasp/1.gif")(r)]), r"train/wasp has no images \(passed over 1 file \(1 \.gif\)\)"),
]  # fmt: skip


def grid(*lines, cells="  - {dataset: digits, model: vgg3-w8}"):
    """(dataset, model, epochs, members) of its cells."""

    def make(tmp):
        (tmp / "g.yaml").write_text("\n".join([*lines, "cells:", cells]))
        found = load_grid(str(tmp / "g.yaml")).cells
        return [(c.dataset, c.recipe.model, c.recipe.epochs, c.members) for c in found]

    return make


GRIDS = [
    Row("a key twice", grid("name: g", "members: 4", "members: 8"), r"line 3: the key 'members' is there twice", "yaml/pyyaml#165"),
    Row("a key twice in a cell", grid("name: g", cells="  - {dataset: digits, model: a, model: b}"), "'model' is there twice", "rbgirshick/yacs#17"),
    Row("a key twice, quoted once", grid("name: g", "'name': h"), "'name' is there twice", "web-platform-tests/wpt#51646"),
    Row("<< merges", grid("name: g", "members: 2", cells="  - &a {dataset: digits, model: m, epochs: 3}\n  - {<<: *a, epochs: 4}"), [("digits", "m", 3, 2), ("digits", "m", 4, 2)], "perlpunk/pyyaml-core#3"),
    Row("<< of what merges itself", grid("name: g", "members: 2", cells="  - &a {dataset: digits, model: m, epochs: 3}\n  - &b {<<: *a, epochs: 4}\n  - {<<: *b, model: n}"), [("digits", "m", 3, 2), ("digits", "m", 4, 2), ("digits", "n", 4, 2)]),
    Row("<< of a list, the first before the second", grid("name: g", "members: 2", cells="  - &a {dataset: digits, model: m, epochs: 3}\n  - &b {dataset: digits, model: n, epochs: 4}\n  - {<<: [*b, *a], model: o}"), [("digits", "m", 3, 2), ("digits", "n", 4, 2), ("digits", "o", 4, 2)]),
    Row("an empty list of models", grid("name: g", cells="  - {dataset: digits, model: []}"), "model: the list is empty"),
    Row("an empty list in the defaults", grid("name: g", "defaults: {epochs: []}"), "epochs: the list is empty"),
    Row("010", grid("name: g", "members: 010"), "010 is not one number in every version of YAML"),
    Row("1:30", grid("name: g", "defaults: {epochs: 1:30}"), "1:30 is not one number"),
    Row("a date for a name", grid("name: 2024-01-01"), "reads 2024-01-01 as a date: .*name: '2024-01-01'"),
    Row("a number for a name", grid("name: 2024"), "reads 2024 as a number: .*name: '2024'"),
    Row("a quoted date", grid("name: '2024-01-01'", "members: 1"), [("digits", "vgg3-w8", 100, 1)]),
    Row("no for a model", grid("name: g", cells="  - {dataset: digits, model: no}"), "reads no as true or false"),
    Row("yes for a count", grid("name: g", "defaults: {epochs: yes}"), "epochs: must be a value, not true"),
]  # fmt: skip


def members(build, change=lambda root: None):
    """Which predictions are right, and what members were called."""

    def make(tmp):
        path = build(tmp / "x")
        changed = change(path)
        found = read(changed if isinstance(changed, Path) else path)
        assert found.members.included.tolist() == MASK.tolist()
        return found.members.correct(found.labels).tolist(), found.sources[-1] if found.sources else ""

    return make


def frame(suffix, change=lambda t: t, **how):
    def make(tmp):
        given = change(table())
        path = tmp / f"x.{suffix}"
        given.to_csv(path, index=False, **how) if suffix == "csv" else given.to_parquet(path, **how)
        return (lambda r: r.members.correct(r.labels).tolist())(read(path))

    return make


def zipped(**arrays):
    def make(tmp):
        np.savez(tmp / "x.npz", **arrays)
        return (lambda r: r.members.correct(r.labels).tolist())(read(tmp / "x.npz"))

    return make


def save(name, array):
    return lambda root: np.save(root / name, array)


IN_TRAIN, IN_BOTH = RIGHT.tolist(), BOTH.tolist()
IMPORTS = [
    Row("LiRA's", members(lira), (IN_TRAIN, "experiment-2_3")),
    Row("LiRA's, 2 before 10", members(lambda r: lira(r, ("experiment-1_9", "experiment-2_9", "experiment-10_9"))), (IN_TRAIN, "experiment-10_9")),
    Row("epochs by number, not by letter", members(lambda r: lira(r, epochs=("20", "100"))), (IN_TRAIN, "experiment-2_3")),
    Row("a member short of an epoch", members(lambda r: lira(r, epochs=("50", "100")), lambda r: (r / "experiment-1_3/logits/100.npy").unlink()), "experiment-1_3: its last epoch is 50, and 100 that of experiment-0_3", "aidotse/LeakPro#441"),
    Row("an epoch that is no number", members(lambda r: lira(r, epochs=("last",))), r"last\.npy: its name must be an epoch"),
    Row("one directory a member, logits.npy", members(brought.one_file_a_member), (IN_TRAIN, "10"), "orientino/lira-pytorch inference.py"),
    Row("... without labels", members(brought.one_file_a_member, lambda r: (r / "y_train.npy").unlink()), r"y_train\.npy: there is no such file", "orientino/lira-pytorch inference.py"),
    Row("... with a folder that is none", members(brought.one_file_a_member, lambda r: (r / "plots").mkdir()), (IN_TRAIN, "10"), "orientino/lira-pytorch plot.py"),
    Row("Feldman & Zhang's runs, in other orders", members(runs), (IN_BOTH, "2"), "google-research/heldout-influence-estimation README"),
    Row("... of several ratios", members(lambda r: [runs(r / "0.7"), r][1]), r"several subset ratios: name one, as .*/0\.7", "google-research/heldout-influence-estimation README"),
    Row("... an example twice", members(runs, lambda r: np.savez(r / "1/aux_arrays.npz", index_train=[0, 0], index_removed=[1, 2], correctness_train=[1, 1], correctness_removed=[0, 0])), "name each example once", "aidotse/LeakPro#415"),
    Row("Feldman & Zhang's estimates", zipped(memorization=np.ones(3), influence=np.ones((2, 3))), "estimates alone say nothing", "google-research/heldout-influence-estimation mnist-example"),
    Row("datamodels' memmaps", members(datamodels), (IN_BOTH, "row 2"), "MadryLab/datamodels initialize_store.py"),
    Row("... with rows not done", members(datamodels, lambda r: [np.save(r / f"{n}.npy", np.concatenate([np.load(r / f"{n}.npy"), np.zeros_like(np.load(r / f"{n}.npy")[:1])])) for n in ("masks", "train_margins", "test_margins", "_completed")]), (IN_BOTH, "row 2"), "MadryLab/datamodels worker.py"),
    Row("... of test examples alone", members(datamodels, lambda r: [(r / "train_margins.npy").unlink(), (r / "test_margins.npy").rename(r / "margins.npy")]), "no margins of the 4 training examples", "MadryLab/datamodels spec.json"),
    Row("... published, by percent", members(datamodels, lambda r: [(r / "masks.npy").rename(r / "train_masks_50pct.npy"), (r / "train_margins.npy").rename(r / "train_margins_50pct.npy"), (r / "test_margins.npy").rename(r / "test_margins_50pct.npy")]), (IN_BOTH, "row 2"), "MadryLab/datamodels-data README"),
    Row("privacy_meter's, two classes", members(privacy_meter), (IN_TRAIN, "model 2"), "privacytrustlab/ml_privacy_meter get_signals.py"),
    Row("... classes not known", members(privacy_meter, lambda r: (r / "labels.npy").unlink()), "of 4 predictions the label's probability does not say", "privacytrustlab/ml_privacy_meter get_signals.py"),
    Row("... transposed", members(privacy_meter, lambda r: np.save(r / "signals/rmia_signals.npy", np.zeros((3, 4)))), r"must be \[models, examples\] and", "privacytrustlab/ml_privacy_meter get_signals.py"),
    Row("a CSV", frame("csv"), IN_BOTH),
    Row("a CSV of Excel, with a mark at its head", frame("csv", encoding="utf-8-sig"), IN_BOTH),
    Row("classes by name", frame("csv", lambda t: t.assign(label=t["label"].map({0: "no", 1: "NA"}), predicted=t["predicted"].map({0: "no", 1: "NA"}))), IN_BOTH),
    Row("names and numbers", frame("csv", lambda t: t.assign(predicted=t["predicted"].map({0: "cat", 1: "ant"}))), "one has names and the other numbers"),
    Row("ids of 70,000", frame("parquet", lambda t: t.assign(label=t["label"] + 70_000, predicted=t["predicted"] + 70_000)), IN_BOTH),
    Row("Parquet with an index", frame("parquet", lambda t: t.set_index(["member", "example"])), IN_BOTH),
    Row("a Parquet directory", frame("parquet", partition_cols=["split"]), IN_BOTH),
    Row("correct against predicted", frame("csv", lambda t: t.assign(correct=[*BOTH.reshape(-1)[:-1], not BOTH[-1, -1]])), "contradicts predicted and label, first in row 18"),
    Row("correctness against predicted", zipped(trainset_mask=MASK, trainset_correctness=RIGHT, train_labels=[0, 1, 0, 1], predicted=np.where(RIGHT, [0, 1, 0, 1], [1, 0, 1, 0]) * [1, 1, 1, 0]), "first of member 0, example 3|first of member 1, example 3|contradicts"),
    Row("a column twice", lambda t: [(t / "x.csv").write_text("member,example,included,correct,correct\n0,0,1,1,0\n"), read(t / "x.csv")], "two columns correct"),
    Row("arrays that are not needed", zipped(trainset_mask=MASK, trainset_correctness=RIGHT, notes=np.array(["x"]), weights=np.zeros(10)), IN_TRAIN),
]  # fmt: skip


def module(text):
    def make(tmp):
        name = f"bring_{abs(hash(text))}"
        (tmp / f"{name}.py").write_text(text)
        before = Path.cwd()
        os.chdir(tmp)
        try:
            return load(f"{name}:make")
        finally:
            os.chdir(before)

    return make


class Ended:
    def __init__(self, code):
        self.exitcode = code

    def join(self, _):
        pass


def behind_a_proxy(_):
    before = {k: os.environ.pop(k, None) for k in ("no_proxy", "NO_PROXY", "http_proxy")}
    os.environ["http_proxy"] = "http://127.0.0.1:9"
    try:
        connect("http://tracking.nowhere.invalid")
    finally:
        os.environ.pop("http_proxy")
        os.environ.update({k: v for k, v in before.items() if v is not None})


def printed(_):
    code = (
        "from memreg.show import plain_text; plain_text.adapt(); print('a \\u2265 b \\u2212 \\u00e9 \\u6f22')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


MACHINES = [
    Row("a module with a SyntaxError", module("def make(:\n"), r"cannot be imported at .*\.py: .*line 1"),
    Row("a module that exits", module("import sys; sys.exit('bye')"), "its module raised SystemExit: bye"),
    Row("a module that fails", module("1 / 0"), "its module raised ZeroDivisionError"),
    Row("a function that exits", module("import sys\ndef make(): sys.exit(3)"), "raised SystemExit: 3"),
    Row("a proxy that is down", behind_a_proxy, "through the proxy http://127.0.0.1:9 does not answer"),
    Row("output in ASCII", printed, "a >= b - e ?\n"),
    Row("a worker killed by SIGSEGV", lambda _: _died(_code([Ended(-15), Ended(-11)])), "killed by SIGSEGV: a fault in compiled code, of torch or of the model, not for want of memory"),
    Row("a worker killed by SIGKILL", lambda _: _died(_code([Ended(-9), Ended(-15)])), "killed by SIGKILL, as the kernel does when memory runs out"),
    Row("a worker that exits", lambda _: _died(_code([Ended(-15), Ended(3)])), "it exited with status 3"),
    Row("progress without a terminal", lambda _: terminal.progress_line(30, 90, 60.0), "30 of 120 members trained, 30.0 a minute, about 3 min left"),
    Row("... before the first member", lambda _: terminal.progress_line(0, 90, 60.0), "0 of 90 members trained, 0.0 a minute, time left not known yet"),
    Row("plain text", lambda _: plain_text.plain("score \u2265 \u00b15 \u2014"), "score >= +-5 -"),
]  # fmt: skip


def lies(uri, *directories, database="mlflow.db", run="abc"):
    """Where artifacts are looked for, relative to the directory of the database."""

    def make(tmp):
        here = tmp / "here"
        here.mkdir()
        for directory in directories:
            (tmp / directory).mkdir(parents=True)
        found = place(f"sqlite:///{here}/{database}", run, uri.replace("TMP", str(tmp)))
        return (
            found and str(found.root.relative_to(tmp))
            if found and found.root.is_relative_to(tmp)
            else found and str(found.root)
        )

    return make


def named(where):
    return lambda tmp: (_ for _ in ()).throw(gone("abc", Place(Path(where), Path(where))))


OLD = "/gone/proj/mlruns/1/abc/artifacts"
REGISTRIES = [
    Row("where the run says", lies("TMP/old/mlruns/1/abc/artifacts", "old/mlruns/1/abc/artifacts"), "old/mlruns/1/abc/artifacts"),
    Row("moved: beside the database", lies(OLD, "here/mlruns/1/abc/artifacts"), "here/mlruns/1/abc/artifacts", "mlflow/mlflow#3144"),
    Row("another parent on another machine", lies("/home/me/proj/mlruns/1/abc/artifacts", "here/mlruns/1/abc/artifacts"), "here/mlruns/1/abc/artifacts", "mlflow/mlflow#184"),
    Row("another user's home, as a file URI", lies("file:///home/a%20b/mlruns/1/abc/artifacts", "here/mlruns/1/abc/artifacts"), "here/mlruns/1/abc/artifacts", "mlflow/mlflow#4643"),
    Row("experiments in directories of their own", lies("/gone/store/exp/abc/artifacts", "here/store/exp/abc/artifacts"), "here/store/exp/abc/artifacts"),
    Row("both there: what the run says", lies("TMP/old/mlruns/1/abc/artifacts", "old/mlruns/1/abc/artifacts", "here/mlruns/1/abc/artifacts"), "old/mlruns/1/abc/artifacts"),
    Row("a new run of a moved experiment", lies(OLD, "here/mlruns/1/other/artifacts"), "here/mlruns/1/abc/artifacts", "mlflow/mlflow#3144"),
    Row("another experiment's run of no such id", lies(OLD, "here/mlruns/2/xyz/artifacts"), OLD),
    Row("a bucket", lies("s3://bucket/1/abc/artifacts"), None),
    Row("not there at all", named(OLD), "no such directory: if it was moved, `memreg relocate /gone/proj/mlruns NEW`", "mlflow/mlflow#4400"),
]  # fmt: skip


TABLE = [(kind, row) for kind, rows in list(globals().items()) if kind in ("REGISTRIES", "LABELS", "FOLDERS", "GRIDS", "IMPORTS", "MACHINES") for row in rows]  # fmt: skip


def test_the_table_is_long_and_half_of_it_found_elsewhere():
    assert len(TABLE) >= 60
    assert len([row for _, row in TABLE if row.seen]) >= 30


@pytest.mark.parametrize(("kind", "row"), TABLE, ids=lambda v: getattr(v, "what", v))
def test_it_is_read_right_or_refused_in_a_line(tmp_path, monkeypatch, kind, row):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        found = row.make(tmp_path)
    except MemregError as error:
        said = " ".join(str(error).split())
        assert isinstance(row.right, str), said
        assert "\n" not in str(error)
        assert re.search(row.right, said), said
    else:
        assert found == row.right


def test_what_was_passed_over_is_said(tmp_path, caplog):
    root = folder(tmp_path / "set")
    unlabelled(root)
    leaves("train/ant/a.txt", "train/ant/b.gif", "train/bee/c.gif")(root)
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        load(f"folder:{root}")
        (line,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert "val/ is tested on: test/ has no folder of a class" in line
        assert "passed over 3 files (2 .gif, 1 .txt), which memreg does not read as images" in line


@pytest.mark.parametrize("inside", ["images", ""])
def test_tiny_imagenet_with_val_sorted_into_classes(tmp_path, inside):
    from small_sets import write_tiny_imagenet

    as_it_comes = load("tiny_imagenet", write_tiny_imagenet(tmp_path / "a").parent)
    base = write_tiny_imagenet(tmp_path / "b")
    for line in (base / "val/val_annotations.txt").read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        (base / "val" / wnid / inside).mkdir(parents=True, exist_ok=True)
        (base / "val/images" / name).rename(base / "val" / wnid / inside / name)
    for again in range(2):
        assert load("tiny_imagenet", base.parent).fingerprint == as_it_comes.fingerprint
        if not again:
            (base / "val/val_annotations.txt").unlink()
            (base / "val/images").rmdir()


def test_content_that_changes_under_the_same_size_and_time_is_noticed(tmp_path):
    root = folder(tmp_path / "set")
    path = root / "train/ant/0.png"
    before, status = load(f"folder:{root}").train_images[0, 0, 0, 0], path.stat()
    image(path, 11)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (before, load(f"folder:{root}").train_images[0, 0, 0, 0]) == (10, 11)


def test_what_members_were_called_is_kept_and_goes_along(tmp_path, here):
    brought.one_file_a_member(tmp_path / "theirs")
    here("import", "theirs", "--dataset", "x", "--model", "m")
    from memreg.registry import Registry

    registry = Registry()
    cell = registry.cell(registry.cells()["cell"][0])
    kept = pd.read_parquet(cell.artifacts.get("members.parquet"))
    assert dict(zip(kept["member"], kept["source"], strict=True)) == {0: "0", 1: "1", 2: "10"}
    here("export", "imported", "x.zip")
    import zipfile

    with zipfile.ZipFile("x.zip") as packed:
        assert any(name.endswith("/members.parquet") for name in packed.namelist())
        assert json.loads(packed.read("manifest.json"))
