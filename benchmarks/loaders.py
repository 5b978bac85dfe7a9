"""What `loader=ffcv` costs, and whether it pays where images do not fit in memory.

    python benchmarks/loaders.py [--quick]

Images are random, 64 x 64 x 3, in a memory-mapped .npy file as a data set's cache is, and in the .beton
that memreg writes beside it. Both loaders give shuffled batches of 128 of them. Once with room for all of
them in the page cache, and once in a control group (version 1, root) whose memory, page cache included, is
a quarter of the images: then each loader starts with nothing cached, and reads a quarter of them.
--quick takes a quarter of the images.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE, BATCH = 64, 128
GROUP = Path("/sys/fs/cgroup/memory/memreg-loaders")
LOADERS = ("memory", "ffcv")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", nargs=4, metavar=("LOADER", "FILE", "IMAGES", "LIMIT"), help="internal")
    arguments = parser.parse_args()
    if arguments.part:
        loader, file, images, limit = arguments.part
        print(json.dumps(part(loader, Path(file), int(images), int(limit))))
        return
    count = 50_000 if arguments.quick else 200_000
    size = count * SIDE * SIDE * 3
    with tempfile.TemporaryDirectory(prefix="memreg-", dir=".") as directory:
        file = Path(directory) / "train.npy"
        write(file, count)
        written = run("ffcv", file, BATCH, 0)["seconds"]
        found = {}
        for place, images, limit in (("in memory", count, 0), ("a quarter in memory", count // 4, size // 4)):
            if limit and not GROUP.parent.is_dir():
                print(f"no control groups of version 1 here: {place} is not measured")
                continue
            for loader in LOADERS:
                drop(file)
                if not limit:
                    run(loader, file, images, 0)
                found[place, loader] = run(loader, file, images, limit)
        beton = file.with_suffix(".beton").stat().st_size
    print(f"{count:,} images, {size / 1e9:.2f} GB; the .beton takes {beton / size:.2f} times that, and")
    print(f"{written:.1f} s until its first batch (written, and the reader compiled)\n")
    print(f"{'':28}{'images/s':>12}")
    for (place, loader), said in found.items():
        print(f"{place + ', ' + loader:28}{said['rate']:12,.0f}")
    ratios = {
        place: found[place, "ffcv"]["rate"] / found[place, "memory"]["rate"]
        for place in dict.fromkeys(place for place, _ in found)
    }
    print(json.dumps({f"ffcv_over_memory, {place}": round(ratio, 2) for place, ratio in ratios.items()}))


def write(file: Path, count: int) -> None:
    images = np.lib.format.open_memmap(file, "w+", np.uint8, (count, SIDE, SIDE, 3))
    rng = np.random.default_rng(0)
    for first in range(0, count, 10_000):
        images[first : first + 10_000] = rng.integers(0, 256, (min(10_000, count - first), SIDE, SIDE, 3))
    images.flush()


def run(loader: str, file: Path, images: int, limit: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", loader, str(file), str(images), str(limit)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(said.splitlines()[-1])
    return result


def drop(file: Path) -> None:
    """Let the kernel forget what it has cached of the files."""
    for path in (file, file.with_suffix(".beton")):
        if path.exists():
            with path.open("rb") as f:
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def part(loader: str, file: Path, count: int, limit: int) -> dict[str, float]:
    import torch

    from memreg.data.batches import reader
    from memreg.data.dataset import Dataset

    images = np.load(file, mmap_mode="r")
    labels = np.zeros(len(images), np.int64)
    none = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    digests = ("benchmark", "benchmark")
    dataset = Dataset("x", images, labels, none, labels[:1], 2, False, known_digests=digests)
    read = reader(loader)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[:count]
    device = torch.device("cpu")
    began = time.perf_counter()
    next(iter(read(dataset, order[:BATCH], BATCH, device)))
    first = time.perf_counter() - began
    if limit:
        drop(file)
        confine(limit)
    start = time.perf_counter()
    total = sum(int(batch[:, 0, 0, 0].sum()) for batch in read(dataset, order, BATCH, device))
    seconds = time.perf_counter() - start
    return {"rate": count / seconds, "seconds": first, "total": total}


def confine(limit: int) -> None:
    """This process in a control group with so much memory beyond what it has already."""
    GROUP.mkdir(exist_ok=True)
    (GROUP / "memory.limit_in_bytes").write_text(str(limit))
    (GROUP / "cgroup.procs").write_text(str(os.getpid()))


if __name__ == "__main__":
    main()
