"""Every kind of data set, read from small files in its original format."""

import gzip
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import (
    arrays,
    idx,
    random_images,
    write_cifar100,
    write_folder,
    write_mnist,
    write_tiny_imagenet,
)
from torchvision import datasets

from memreg.data import Dataset, load
from memreg.data import mnist as mnist_module
from memreg.data.cache import cached
from memreg.data.cifar import cifar
from memreg.errors import MemregError


def test_cifar100_has_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_cifar100(tmp_path, monkeypatch)
    dataset = load("cifar100", tmp_path)
    assert dataset.classes == 100
    assert dataset.flip
    assert np.array_equal(dataset.train_images, made["train"])
    assert np.array_equal(dataset.test_images, made["test"])
    assert dataset.train_labels.tolist() == [0, 7, 14, 21, 28, 35, 42, 49]
    assert dataset.class_labels == tuple(f"kind_{k}" for k in range(100))


def test_a_cache_from_before_classes_had_names_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar100(tmp_path, monkeypatch)
    source = cifar("cifar100", tmp_path)
    earlier = replace(source, decode=lambda: replace(source.decode(), class_labels=None), named=False)
    numbered = cached(earlier, verify=False)
    assert numbered.class_labels is None
    named = load("cifar100", tmp_path)
    assert named.class_labels is not None
    assert named.fingerprint == numbered.fingerprint
    assert load("cifar100+classes=7.21", tmp_path).class_labels == ("kind_7", "kind_21")


@pytest.mark.parametrize(("name", "flip"), [("mnist", False), ("fashion_mnist", True)])
def test_mnist(tmp_path: Path, name: str, flip: bool) -> None:
    made = write_mnist(tmp_path, name)
    dataset = load(name, tmp_path)
    assert (dataset.classes, dataset.flip) == (10, flip)
    assert dataset.image_shape == (1, 28, 28)
    assert np.array_equal(dataset.train_images[..., 0], made["train-images-idx3-ubyte"])
    assert np.array_equal(dataset.test_labels, made["t10k-labels-idx1-ubyte"])
    assert (dataset.class_labels or [""])[0] == ("T-shirt/top" if name == "fashion_mnist" else "")


def test_mnist_as_it_was_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_mnist(tmp_path, "mnist", zipped=True)
    with pytest.raises(MemregError, match=r"train-images-idx3-ubyte\.gz is damaged, its MD5"):
        load("mnist", tmp_path)
    monkeypatch.setattr(datasets.MNIST, "resources", [])
    dataset = load("mnist", tmp_path)
    assert np.array_equal(dataset.test_images[..., 0], made["t10k-images-idx3-ubyte"])


def test_names_and_urls_are_torchvisions() -> None:
    for name, folder in mnist_module.FOLDERS.items():
        kind = getattr(datasets, folder)
        assert mnist_module.URLS[name] in kind.mirrors
        assert [file for file, _ in kind.resources] == [f"{f}.gz" for f in mnist_module.FILES]


def test_tiny_imagenet(tmp_path: Path) -> None:
    write_tiny_imagenet(tmp_path)
    dataset = load("tiny_imagenet", tmp_path)
    assert dataset.image_shape == (3, 64, 64)
    assert (dataset.classes, dataset.flip) == (2, True)
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.train_images[:, 9, 9, 2].tolist() == [0, 10, 20, 40, 50, 60]
    assert dataset.test_labels.tolist() == [0, 1, 0, 1]
    assert dataset.test_images[:, 9, 9, 2].tolist() == [200, 210, 220, 230]


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_folder(tmp_path: Path, test: str) -> None:
    root = write_folder(tmp_path / "my+pictures", test)
    dataset = load(f"folder:{root}+noise=0.5")
    assert dataset.name == f"folder:{root}+noise=0.5"
    assert dataset.image_shape == (3, 10, 12)
    assert dataset.clean_labels is not None
    assert dataset.clean_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test_labels.tolist() == [0, 1]
    with Image.open(root / "train" / "bee" / "deep" / "2.png") as image:
        assert any(np.array_equal(np.asarray(image), row) for row in dataset.train_images[3:])


def test_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", **arrays())
    np.savez_compressed("flip.npz", **arrays(), flip=True)
    dataset = load("npz:./mine.npz+classes=2.0")
    assert dataset.name == "npz:mine.npz+classes=2.0"
    assert dataset.image_shape == (1, 9, 7)
    assert not dataset.flip
    assert load("npz:flip.npz").flip
    assert np.array_equal(load("npz:flip.npz").train_images[..., 0], arrays()["train_images"])
    assert isinstance(load("npz:flip.npz").train_images, np.memmap)


USERS_MODULE = """
import numpy as np
from memreg.data import load
from memreg.errors import MemregError
from dataclasses import replace

def mapping():
    images = np.zeros((6, 8, 8, 3), np.uint8)
    labels = np.array([0, 1, 2] * 2, np.uint8)
    return dict(train_images=images, train_labels=labels, test_images=images, test_labels=labels)

def dataset():
    return replace(load("digits+noise=0.1"), test_labels=load("digits").test_labels.astype("int32"))

def broken():
    return 1 / 0

def refused():
    raise MemregError("not today")

def nothing():
    return None

def inverted():
    np.savez("set.npz", **mapping())
    base = load("npz:set.npz")
    return replace(base, train_images=255 - base.train_images)

def mirrored():
    content = mapping()
    return {**content, "train_images": content["train_images"][:, :, ::-1]}

def odd_groups():
    return replace(load("digits"), groups=np.zeros(5, int))
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name = f"users_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USERS_MODULE)
    return name


def test_a_function_of_the_users_own(users_module: str) -> None:
    before = list(sys.path)
    dataset = load(f"{users_module}:mapping+subset=3")
    assert dataset.name == f"{users_module}:mapping+subset=3"
    assert (dataset.n_train, dataset.classes) == (3, 3)
    own = load(f"{users_module}:dataset")
    assert own.name == f"{users_module}:dataset"
    assert own.test_labels.dtype == np.int64
    assert own.clean_labels is not None
    assert sys.path == before


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("broken", "raised ZeroDivisionError: division by zero"),
        ("refused", "not today"),
        ("nothing", "returned NoneType: it must return a memreg.data.Dataset or a mapping"),
        ("missing", "cannot be imported"),
        ("odd_groups", "groups has 5 rows: there must be 1797"),
        ("dataset+noise=0.1", "has clean_labels or groups of its own: no option"),
    ],
)
def test_a_function_that_does_not_deliver(users_module: str, function: str, said: str) -> None:
    with pytest.raises(MemregError) as error:
        load(f"{users_module}:{function}")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_function_makes_of_a_set_that_was_cached_is_another(users_module: str, tmp_path: Path) -> None:
    changed = load(f"{users_module}:inverted")
    base = load(f"npz:{tmp_path}/set.npz")
    assert base.known_digests != (None, None)
    assert np.array_equal(changed.train_images, 255 - base.train_images)
    assert changed.fingerprint != base.fingerprint


def test_images_in_reverse(users_module: str) -> None:
    assert torch.from_numpy(load(f"{users_module}:mirrored").train_images).shape == (6, 8, 8, 3)


def test_pixels_of_16_bits_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set")
    ramp = np.linspace(0, 65535, 90, dtype=np.uint16).reshape(9, 10)
    for path in root.rglob("*.png"):
        Image.fromarray(ramp).save(path)
    with pytest.raises(MemregError, match=r"\.png has more than 8 bits a pixel \(mode I;16\): convert it"):
        load(f"folder:{root}")


@pytest.mark.parametrize("name", ["npz:", "folder:"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(MemregError, match="File name too long"):
        load(name + 300 * "x")


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(MemregError, match="no_such_package"):
        load("no_such_package.module:function")


def test_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "data", "mnist")
    write_mnist(tmp_path / "elsewhere", "fashion_mnist")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMREG_DATA_DIR", raising=False)
    assert load("mnist").n_train == 12
    monkeypatch.setenv("MEMREG_DATA_DIR", str(tmp_path / "elsewhere"))
    assert load("fashion_mnist").n_train == 12
    assert load("mnist", tmp_path / "data").n_train == 12


def test_what_is_not_there_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(url: str, root: str, **arguments: object) -> None:
        asked.append(url)
        write_tiny_imagenet(Path(root))
        assert arguments["md5"] == "90528d7ca1a48142e341f4ef8d21d0de"

    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", download)
    assert load("tiny_imagenet", tmp_path / "new").n_train == 6
    assert load("tiny_imagenet", tmp_path / "new").n_train == 6
    assert asked == ["http://cs231n.stanford.edu/tiny-imagenet-200.zip"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "memreg-cache",
        "tiny-imagenet-200",
    ]


def test_mnist_is_downloaded_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: str, download_root: str, filename: str, md5: str) -> None:
        n = 12 if filename.startswith("train") else 5
        made = random_images(n, 28, 28) if "images" in filename else np.zeros(n, np.uint8)
        made[0] = 1
        (Path(download_root) / filename.removesuffix(".gz")).write_bytes(idx(made))

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    assert load("mnist", tmp_path).n_train == 12


def test_cifar_is_downloaded_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path / "archive", monkeypatch)

    def download(url: str, root: str, filename: str, md5: str) -> None:
        (tmp_path / "archive" / "cifar-100-python").rename(Path(root) / "cifar-100-python")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", download)
    assert load("cifar100", tmp_path / "new").n_train == 8


def test_a_gz_and_a_plain_file_are_the_same(tmp_path: Path) -> None:
    content = idx(random_images(3, 4, 4))
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    plain = mnist_module.read_idx("mnist", tmp_path / "a", dimensions=3)
    assert np.array_equal(plain, mnist_module.read_idx("mnist", tmp_path / "a.gz", dimensions=3))


def test_a_users_memory_map_is_kept(users_module: str, tmp_path: Path) -> None:
    del users_module
    np.save(tmp_path / "images.npy", random_images(4, 8, 8, 1))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    from memreg.data.arrays import checked

    base = Dataset("x", mapped, np.array([0, 1, 0, 1]), mapped, np.array([0, 1, 0, 1]), 2, False)
    assert isinstance(checked(replace(base, name="y")).train_images, np.memmap)
