"""Data that is missing, partial or damaged: one clear line, and nothing written."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from small_sets import (
    arrays,
    flat_image,
    write_cifar100,
    write_folder,
    write_mnist,
    write_tiny_imagenet,
)
from studies import bad_input, uri

from entrypoints.train import train

Damage = Callable[[Path], None]
Refusal = Callable[[str, Path], str]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


def files(root: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        yield from (f"{directory}/{name}" for name in (*folders, *names))


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """The line that training on a data set ends with, after a check that nothing was written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))

    def refused(name: str, data_dir: Path) -> str:
        before = sorted(files(tmp_path))
        words = ("--dataset", name, "--model", "vgg3-w8", "--data-dir", str(data_dir))
        said = bad_input(monkeypatch, capsys, train, *words)
        assert sorted(files(tmp_path)) == before
        return said

    return refused


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("cifar10", "cifar-10-batches-py"),
        ("cifar100", "cifar-100-python"),
        ("mnist", "MNIST"),
        ("fashion_mnist", "FashionMNIST"),
        ("tiny_imagenet", "tiny-imagenet-200"),
    ],
)
def test_nothing_there_and_no_network(tmp_path: Path, refusal: Refusal, name: str, folder: str) -> None:
    said = refusal(name, tmp_path / "not" / "made")
    assert f"there is no {tmp_path / 'not' / 'made' / folder}" in said
    assert "Name or service not known" in said
    assert "http" in said.partition("):")[2]
    assert "MEMREG_DATA_DIR" in said


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("cifar10", "cifar-10-batches-py"),
        ("cifar100", "cifar-100-python"),
        ("mnist", "MNIST/raw"),
        ("tiny_imagenet", "tiny-imagenet-200"),
    ],
)
def test_an_empty_directory(tmp_path: Path, refusal: Refusal, name: str, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert str(tmp_path / folder) in refusal(name, tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: cut(d / "train"), "train is damaged, its MD5 is not"),
        (lambda d: change(d / "test"), "test is damaged, its MD5 is not"),
        (lambda d: change(d / "meta"), "meta is damaged, its MD5 is not"),
        (lambda d: (d / "test").unlink(), "cifar-100-python/test: unpack https://www.cs.toronto"),
    ],
)
def test_cifar(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch, damage: Damage, said: str
) -> None:
    write_cifar100(tmp_path, monkeypatch)
    damage(tmp_path / "cifar-100-python")
    assert said in refusal("cifar100", tmp_path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: cut(d / "train-images-idx3-ubyte"), "not a whole IDX file of 3 dimensions"),
        (lambda d: (d / "t10k-labels-idx1-ubyte").write_bytes(b""), "not a whole IDX file of 1"),
        (lambda d: (d / "train-labels-idx1-ubyte").unlink(), "nor its .gz: put the four .gz"),
        (
            lambda d: (d / "train-labels-idx1-ubyte").write_bytes(
                (d / "t10k-labels-idx1-ubyte").read_bytes()
            ),
            "12 images but 5 labels for train_images: each needs one",
        ),
    ],
)
def test_mnist(tmp_path: Path, refusal: Refusal, damage: Damage, said: str) -> None:
    write_mnist(tmp_path, "mnist")
    damage(tmp_path / "MNIST" / "raw")
    assert said in refusal("mnist", tmp_path)


def test_mnist_labels_out_of_range(tmp_path: Path, refusal: Refusal) -> None:
    write_mnist(tmp_path, "mnist")
    labels = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + bytes([99]))
    said = refusal("mnist", tmp_path)
    assert "test labels go from 0 to 99: they must go from 0 to 9" in said


def test_mnist_gz_that_does_not_unpack(
    tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(tmp_path, "mnist", zipped=True)
    monkeypatch.setattr("torchvision.datasets.MNIST.resources", [])
    cut(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz")
    assert "cannot unpack" in refusal("mnist", tmp_path)


def save(path: Path, side: int) -> None:
    Image.fromarray(flat_image(9, side)).save(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: (d / "wnids.txt").unlink(), "cannot read"),
        (lambda d: (d / "wnids.txt").write_text("\n"), "wnids.txt is empty"),
        (lambda d: (d / "wnids.txt").write_text("n01\nn02\nn03\n"), "no /"),
        (lambda d: (d / "val" / "val_annotations.txt").unlink(), "val_annotations.txt"),
        (lambda d: cut_line(d / "val" / "val_annotations.txt"), "val_3.JPEG, and 0 more, are"),
        (
            lambda d: (d / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn09\t0\t0\n"),
            "puts val_0.JPEG in n09, not in wnids.txt",
        ),
        (
            lambda d: (d / "val" / "val_annotations.txt").write_text("val_0.JPEG\n"),
            "puts val_0.JPEG in no class",
        ),
        (lambda d: (d / "val" / "images" / "val_1.JPEG").unlink(), "are missing in"),
        (lambda d: (d / "train" / "n01" / "images" / "n01_1.JPEG").unlink(), "2 images and n02 3"),
        (
            lambda d: (d / "train" / "n02" / "images" / "n02_1.JPEG").write_bytes(b"\xff\xd8\xff"),
            "n02_1.JPEG: get this file anew",
        ),
        (
            lambda d: shorten(d / "val" / "images" / "val_2.JPEG"),
            "val_2.JPEG: get this file anew",
        ),
        (
            lambda d: save(d / "train" / "n02" / "images" / "n02_1.JPEG", 63),
            "n02_1.JPEG has 63x63 pixels and",
        ),
    ],
)
def test_tiny_imagenet(tmp_path: Path, refusal: Refusal, damage: Damage, said: str) -> None:
    damage(write_tiny_imagenet(tmp_path))
    assert said in refusal("tiny_imagenet", tmp_path)


def cut_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: empty(d / "train"), "train has no images: it needs one folder for each class"),
        (lambda d: empty(d / "train" / "ant"), "train/ant has no images"),
        (lambda d: empty(d / "test"), "test has no images"),
        (lambda d: (empty(d / "test"), (d / "test").rmdir()), "train/ and test/ or val/ in it"),
        (
            lambda d: (d / "test" / "bee").rename(d / "test" / "wasp"),
            "test/wasp has no counterpart",
        ),
        (lambda d: save(d / "train" / "bee" / "1.png", 12), "1.png has 12x12 pixels and"),
        (lambda d: save(d / "test" / "ant" / "0.png", 12), "test/ant/0.png has 12x12 pixels and"),
        (lambda d: (d / "train" / "bee" / "0.png").write_text("no"), "cannot decode"),
    ],
)
def test_folder(tmp_path: Path, refusal: Refusal, damage: Damage, said: str) -> None:
    root = write_folder(tmp_path / "set")
    damage(root)
    assert said in refusal(f"folder:{root}", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_images": None}, "no train_images; the keys must be train_images, train_labels"),
        ({"train_labels": np.array([0, 1])}, "6 training images but 2 labels"),
        ({"train_labels": np.array([{}] * 6)}, "not plain arrays as numpy.savez writes them"),
        ({"train_labels": np.arange(6) / 2}, "train_labels is float64 of shape (6,)"),
        ({"train_labels": np.arange(6) - 1}, "training labels go from -1 to 4"),
        ({"train_images": np.zeros((6, 9, 7))}, "train_images is float64"),
        ({"train_images": np.zeros((6, 63), np.uint8)}, "train_images is uint8 of shape (6, 63)"),
        ({"test_images": np.zeros((4, 9, 8), np.uint8)}, "9x7x1 and test images 9x8x1"),
        (
            {"test_images": np.zeros((0, 9, 7), np.uint8), "test_labels": np.zeros(0, int)},
            "no test",
        ),
        ({"train_labels": np.zeros(6, int), "test_labels": np.zeros(4, int)}, "only one class"),
        (
            {
                "train_images": np.zeros((6, 9, 7, 4), np.uint8),
                "test_images": np.zeros((4, 9, 7, 4), np.uint8),
            },
            "images of 4 channels",
        ),
        ({"flip": np.array([1, 2])}, "flip must be true or false, not [1, 2]"),
    ],
)
def test_npz(tmp_path: Path, refusal: Refusal, change: dict[str, np.ndarray | None], said: str) -> None:
    path = tmp_path / "set.npz"
    content = {**arrays(), **change}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    assert said in refusal(f"npz:{path}", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x80\x02}q\x00."], ids=["empty", "text", "pickle"])
def test_npz_that_is_none(tmp_path: Path, refusal: Refusal, content: bytes) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    assert f"npz:{path}: " in refusal(f"npz:{path}", tmp_path)


@pytest.mark.parametrize("damage", [cut, change, lambda p: p.write_bytes(p.read_bytes()[:200])])
def test_npz_damaged(tmp_path: Path, refusal: Refusal, damage: Damage) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **arrays(n=600))
    damage(path)
    assert f"npz:{path}: " in refusal(f"npz:{path}", tmp_path)


def test_npz_that_is_not_there(tmp_path: Path, refusal: Refusal) -> None:
    said = refusal(f"npz:{tmp_path}/none.npz", tmp_path)
    assert f"there is no file {tmp_path}/none.npz" in said


def test_a_single_array(tmp_path: Path, refusal: Refusal) -> None:
    np.save(tmp_path / "set.npy", np.zeros(3))
    refusal(f"npz:{tmp_path}/set.npy", tmp_path)
