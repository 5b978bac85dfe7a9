"""A training example of a folder has a file, whatever was made of the data set."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import write_folder
from studies import program, run

from memreg import Registry
from memreg.cli import memreg
from memreg.data import Dataset, load
from memreg.data.arrays import checked
from memreg.data.sharing import open_shared, share
from memreg.errors import MemregError
from memreg.grid import parse_grid


def agrees(dataset: Dataset, root: Path) -> bool:
    """Whether every image is its file's, and its class the file's folder."""
    images = np.concatenate([dataset.train_images, dataset.test_images])
    table = dataset.examples()
    given = table.get("clean_label", table["label"])
    assert dataset.class_labels is not None
    folders = [dataset.class_labels[label] for label in given]
    made = table["file"] == ""
    for image, file, folder in zip(
        images[~made], table["file"][~made], np.array(folders)[~made], strict=True
    ):
        with Image.open(root / file) as picture:
            if not np.array_equal(np.asarray(picture.convert("RGB")), image) or f"/{folder}/" not in file:
                return False
    return bool((table["source_label"] == np.array(dataset.class_labels)[table["label"]]).all())


OPTIONS = ("", "+classes=1.0", "+subset=4", "+noise=0.5", "+classes=1.0+subset=3+seed=2")


@pytest.mark.parametrize("option", OPTIONS)
def test_each_image_is_its_files(tmp_path: Path, option: str) -> None:
    root = write_folder(tmp_path / "pictures", "test")
    for _ in range(2):  # decoded, then from the cache
        dataset = load(f"folder:{root}{option}")
        assert agrees(dataset, root)
    assert agrees(open_shared(share(dataset, tmp_path / "shared")), root)


def test_planted_images_have_none(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "pictures", "test")
    for kind in ("ant", "bee"):
        for i in range(5):
            shutil.copy(root / "test" / kind / "0.png", root / "test" / kind / f"more{i}.png")
    dataset = load(f"folder:{root}+planted=1+planted_sizes=1.2")
    table = dataset.examples()
    assert agrees(dataset, root)
    assert ((table["file"] == "") == (table["group"] >= 0)).all()


def test_a_name_that_is_no_utf8_can_be_stored(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "pictures", "test")
    folder = os.fsencode(root / "train" / "bee")
    os.rename(folder + b"/0.png", folder + b"/m\xfcll.png")  # noqa: PTH104  a name of bytes
    table = load(f"folder:{root}").examples()
    table.to_parquet(tmp_path / "examples.parquet")
    assert sum("m\\xfcll.png" in file for file in table["file"]) == 1


def test_a_path_for_each_image(tmp_path: Path) -> None:
    dataset = load(f"folder:{write_folder(tmp_path / 'pictures', 'test')}")
    with pytest.raises(
        MemregError, match=r"files has shape \(1,\): it must be \(8,\), a path for each image"
    ):
        checked(replace(dataset, files=np.array(["one.png"])))


def test_a_cell_says_file_and_class(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_folder(tmp_path / "pictures", "test")
    recipe = {"model": "vgg3-w4", "epochs": 2, "batch_size": 4, "r": 0.5}
    cells = [{"dataset": f"folder:{root}", **recipe}]
    run(parse_grid({"name": "own", "members": 4, "cells": cells}, "own"), tmp_path, "own")
    cell = Registry(f"sqlite:///{tmp_path}/mlflow.db").cell(
        Registry(f"sqlite:///{tmp_path}/mlflow.db").cells("own")["cell"][0]
    )
    top = cell.top(6)
    assert list(top.columns[:4]) == ["example", "label", "source_label", "file"]
    assert set(top["source_label"]) == {"ant", "bee"}
    for image, file in zip(cell.images(top["example"]), top["file"], strict=True):
        with Image.open(root / file) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), image)
    said = program(monkeypatch, capsys, memreg, "scores", cell.hash[:8])
    assert all(file in said for file in top["file"])
    listed = program(monkeypatch, capsys, memreg, "scores", cell.hash[:8], "--csv")
    assert listed.splitlines()[0].startswith("example,label,source_label,file,score")
    program(monkeypatch, capsys, memreg, "report", "own")
    (page,) = tmp_path.rglob("report.html")
    assert f'title="{top["file"][0]}"' in page.read_text()
