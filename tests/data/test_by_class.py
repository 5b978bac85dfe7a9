"""Folders as people have them: a sub-folder for each class, images of any size and kind."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import arrays, random_images, write_folder

from memreg.data import load
from memreg.data.folder import glance
from memreg.data.pixels import fitted, resized
from memreg.errors import MemregError

SIDE = 16
FOLDER_FINGERPRINT = "71d7c5d91e7306b8e10b521da5fe898f1cfc9e876cff8ea3a57763ba8001eeec"
DIGITS_FINGERPRINT = "e1f8d68666eb2f60ef0a44e5abd33a1177f7b4e77f5e48e8d2be2576630a8211"
"""As memreg had them before there were sizes."""


def write(root: Path, **classes: int) -> Path:
    """So many images of each class, of sizes from 20 to 60 pixels, some grey."""
    for number, (kind, count) in enumerate(classes.items()):
        (root / kind).mkdir(parents=True)
        for i in range(count):
            made = random_images(20 + i % 40, 60 - i % 30, 3, seed=1000 * number + i)
            image = Image.fromarray(made).convert("L" if i % 5 == 0 else "RGB")
            image.save(root / kind / f"{i}.{'png' if i % 2 else 'jpg'}")
    return root


def held_out(root: Path) -> set[str]:
    dataset = load(f"folder:{root}+size={SIDE}")
    assert dataset.files is not None
    return {*dataset.files[dataset.n_train :].tolist()}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_one_in_twenty_of_each_class_is_tested_on_wherever_the_folder_is(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ant=60, bee=25, wasp=2)
    dataset = load(f"folder:{root}+size={SIDE}")
    assert dataset.class_labels == ("ant", "bee", "wasp")
    assert np.bincount(dataset.test_labels).tolist() == [3, 1, 1]
    assert np.bincount(dataset.train_labels).tolist() == [57, 24, 1]
    assert dataset.files is not None
    for file, label in zip(
        dataset.files, [*dataset.train_labels.tolist(), *dataset.test_labels.tolist()], strict=True
    ):
        assert file.split("/")[0] == dataset.class_labels[label]
    first = held_out(root)
    moved = root.rename(tmp_path / "elsewhere")
    assert held_out(moved) == first


def test_a_new_image_leaves_most_of_the_split_as_it_is(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ant=100, bee=100)
    before = held_out(root)
    (root / "ant" / "3.png").rename(root / "bee" / "more.png")
    assert len(before - held_out(root)) <= 2


def test_what_a_person_really_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write(tmp_path / "set", ant=30, bee=30)
    (root / ".DS_Store").write_bytes(b"x")
    (root / "bee" / ".DS_Store").write_bytes(b"x")
    (root / "bee" / "broken.jpg").write_bytes((root / "bee" / "2.jpg").read_bytes()[:200])
    (root / "bee" / "notes.txt").write_text("x")
    (root / "annotations").mkdir()
    (root / "loose.png").write_bytes(b"x")
    Image.new("CMYK", (30, 30)).save(root / "ant" / "press.jpg")
    for again in range(2):
        caplog.clear()
        dataset = load(f"folder:{root}+size={SIDE}")
        assert (dataset.n_train + dataset.n_test, dataset.image_shape) == (60, (3, SIDE, SIDE)), again
        split, left_out = said(caplog)
        assert "it has no train/ and test/, so 2 of 62 images are for testing" in split
        assert "annotations/ without images; 1 images beside the sub-folders" in split
        assert "passed over 1 file (1 .txt)" in split
        assert "2 files are left out" in left_out
        assert {"ant/press.jpg", "bee/broken.jpg"} <= {*left_out.replace(",", " ").split()}
    assert load(f"folder:{root}+size={SIDE}+subset=20").name == f"folder:{root}+size={SIDE}+subset=20"
    with pytest.raises(MemregError, match="all images must have the same size"):
        load(f"folder:{root}")


def picture(path: Path, size: tuple[int, int], mode: str, colour: tuple[int, ...], **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **more)


def test_transparent_pixels_are_white_and_a_turn_is_made(tmp_path: Path) -> None:
    picture(tmp_path / "clear.png", (20, 30), "RGBA", (9, 9, 9, 0))
    picture(tmp_path / "half.png", (20, 30), "LA", (0, 128))
    upper = np.zeros((40, 20, 3), np.uint8)
    upper[:20] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the upper half is really the right one
    Image.fromarray(upper).save(tmp_path / "turned.png", exif=exif)
    read = {}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            read[path.stem] = fitted(image, 8)
    assert {image.shape for image in read.values()} == {(8, 8, 3)}
    assert (read["clear"] == 255).all()
    assert np.abs(read["half"].astype(int) - 127).max() <= 1
    assert read["turned"][:, :3].max() == 0
    assert read["turned"][:, 5:].min() == 200


def test_a_photograph_is_as_if_it_had_been_decoded_whole(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:900, 0:1200]
    photo = np.stack([rows / 4, columns / 5, (rows + columns) % 256], 2).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.jpg", quality=95)
    with Image.open(tmp_path / "photo.jpg") as image:
        read = fitted(image, 32)
    difference = np.abs(read.astype(int) - resized(photo, 32))
    assert difference[..., :2].mean() < 2


def test_images_that_have_the_size_are_as_without_it(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set")
    for path in root.rglob("*.png"):
        Image.fromarray(random_images(SIDE, SIDE, 3, seed=len(str(path)))).save(path)
    assert load(f"folder:{root}+size={SIDE}").fingerprint == load(f"folder:{root}").fingerprint


def test_every_base_is_resized_alike(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", "test")
    folder = load(f"folder:{root}")
    given = {
        "train_images": folder.train_images,
        "train_labels": folder.train_labels,
        "test_images": folder.test_images,
        "test_labels": folder.test_labels,
    }
    np.savez(tmp_path / "set.npz", **given)
    a, b = load(f"folder:{root}+size={SIDE}"), load(f"npz:{tmp_path}/set.npz+size={SIDE}")
    assert a.image_shape == (3, SIDE, SIDE)
    assert np.array_equal(a.train_images, b.train_images)
    assert np.array_equal(a.test_images, b.test_images)
    np.savez(tmp_path / "grey.npz", **arrays())
    assert load(f"npz:{tmp_path}/grey.npz+size={SIDE}").image_shape == (1, SIDE, SIDE)


def test_a_cache_for_each_size(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ant=10, bee=10)
    sizes = {side: load(f"folder:{root}+size={side}") for side in (8, 16)}
    assert {name.rsplit("-", 1)[0] for name in map(str, (root / "memreg-cache").iterdir())} == {
        f"{root}/memreg-cache/set-8px",
        f"{root}/memreg-cache/set-16px",
    }
    for side, dataset in sizes.items():
        assert load(f"folder:{root}+size={side}").fingerprint == dataset.fingerprint


def test_names_from_before_mean_what_they_meant(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set")
    assert load(f"folder:{root}").fingerprint == FOLDER_FINGERPRINT
    assert load("digits+subset=300+noise=0.2").fingerprint == DIGITS_FINGERPRINT


def test_how_many_and_how_large(tmp_path: Path) -> None:
    root = write(tmp_path / "set", ant=30, bee=31)
    (root / "bee" / "broken.jpg").write_bytes(b"x")
    sides = [min(20 + i % 40, 60 - i % 30) for n in (30, 31) for i in range(n)]
    found = glance(root)
    assert found.images == 62
    assert abs(found.side - np.median(sides)) <= 1
    assert Counter(sides)[found.side] > 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda root: (root / "bee").rename(root.parent / "bee"), "only ant/ has images: there must be two"),
        (lambda root: [p.unlink() for p in root.rglob("*.*")], "no images in its sub-folders"),
        (
            lambda root: [p.write_bytes(b"x") for p in (root / "bee").iterdir()],
            "of class bee there is no image that can be read to train on",
        ),
        (lambda root: (root / "bee").rename(root / "train"), r"each class \(as \S+/train is\)"),
        (lambda root: (root / "bee").rename(root / "test"), "must be a folder with train/ and test/"),
    ],
)
def test_what_is_no_such_folder(tmp_path: Path, change: Callable[[Path], object], line: str) -> None:
    root = write(tmp_path / "set", ant=10, bee=10)
    change(root)
    with pytest.raises(MemregError, match=line) as error:
        load(f"folder:{root}+size={SIDE}")
    assert "\n" not in str(error.value)
