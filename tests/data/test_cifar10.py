"""The real CIFAR-10."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memreg.data import load
from memreg.data.sharing import share
from memreg.errors import MemregError

COUNT = 8

OPEN = """
import sys
from pathlib import Path
from memreg.data import load

def read():
    return int(Path("/proc/self/io").read_text().split()[1])

before = read()
load(sys.argv[2], Path(sys.argv[1])).fingerprint
print(read() - before)
"""

WORKER = """
import sys
from pathlib import Path
from memreg.data.sharing import open_shared

def own():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

before = own()
dataset = open_shared(Path(sys.argv[1]))
total = int(dataset.train_images.sum(dtype="i8")) + int(dataset.test_images.sum(dtype="i8"))
print(total, flush=True)
sys.stdin.readline()
print((own() - before) / 1000, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def decoded(cifar10_dir: Path) -> Path:
    load("cifar10", cifar10_dir)
    return cifar10_dir


def test_all_of_it(decoded: Path) -> None:
    dataset = load("cifar10", decoded)
    assert dataset.train_images.shape == (50_000, 32, 32, 3)
    assert dataset.test_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(dataset.train_labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert dataset.flip
    mean = dataset.train_images.mean((0, 1, 2)) / 255
    assert np.allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert dataset.train_labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert (dataset.class_labels or ())[6:] == ("frog", "horse", "ship", "truck")


@pytest.mark.parametrize("name", ["cifar10", "cifar10+noise=0.2"])
def test_opening_reads_no_image(decoded: Path, name: str) -> None:
    command = [sys.executable, "-c", OPEN, str(decoded), name]
    read = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert 0 < read < 1_000_000  # of 184 million


def test_label_noise_copies_no_image(decoded: Path) -> None:
    noisy = load("cifar10+noise=0.2", decoded)
    assert isinstance(noisy.train_images, np.memmap)
    assert (noisy.train_labels != noisy.clean_labels).sum() == 10_000


def test_a_subset_of_some_classes(decoded: Path) -> None:
    some = load("cifar10+classes=3.5.7+subset=2000+seed=3", decoded)
    assert np.bincount(some.train_labels).max() <= 667
    assert (some.n_train, some.n_test) == (2000, 3000)
    assert some.class_labels == ("cat", "dog", "horse")


def test_eight_workers_share_it(decoded: Path, tmp_path: Path) -> None:
    dataset = load("cifar10+noise=0.2", decoded)
    handle = share(dataset, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1e6
    total = sum(int(a.sum(dtype=np.int64)) for a in (dataset.train_images, dataset.test_images))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(handle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(COUNT)
    ]
    try:
        grown = []
        for worker in workers:
            assert worker.stdout is not None
            assert int(worker.stdout.readline()) == total
        for worker in workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(file=worker.stdin, flush=True)
            grown.append(float(worker.stdout.readline()))
    finally:
        for worker in workers:
            worker.communicate("\n")
    print("megabytes of its own that each worker has added:", grown)
    assert max(grown) < 200


def test_a_truncated_batch(cifar10_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for file in (cifar10_dir / "cifar-10-batches-py").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "data_batch_3").unlink()
    (folder / "data_batch_3").write_bytes(b"\x80\x02}")
    with pytest.raises(MemregError, match="data_batch_3 is damaged, its MD5 is not 54ebc095"):
        load("cifar10", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-py"]
