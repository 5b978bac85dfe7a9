"""Reading 70,000 PNGs as `folder:`: the first time, when they are decoded, and afterwards.

    python benchmarks/folders.py [--quick]

The images are random, 32 x 32 x 3, in ten classes, 60,000 for training and 10,000 for testing. Each reading
is a process of its own, timed from after its imports, with the images compared with their digests as before a
study. --quick takes a tenth of the images.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

MOST_FIRST, MOST_AFTERWARDS = 25.0, 2.0  # seconds, of 70,000
READ = """
import sys, time
from memreg.data import load
start = time.perf_counter()
dataset = load(sys.argv[1], verify=True)
print(time.perf_counter() - start, dataset.n_train + dataset.n_test)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    count = 7_000 if parser.parse_args().quick else 70_000
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        write(Path(directory), count)
        first, *after = (read(directory, count) for _ in range(4))
    afterwards = sorted(after)[1]
    print(f"{count:,} PNGs of 32 x 32\n")
    print(f"{'first':12}{first:8.2f} s")
    print(f"{'afterwards':12}{afterwards:8.2f} s")
    passed = first < MOST_FIRST and afterwards < MOST_AFTERWARDS
    print(json.dumps({"images": count, "first": first, "afterwards": afterwards, "pass": passed}))


def write(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for part, first, stop in (("train", 0, count * 6 // 7), ("test", count * 6 // 7, count)):
        for kind in range(10):
            (root / part / f"class{kind}").mkdir(parents=True)
        for i in range(first, stop):
            image = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
            image.save(root / part / f"class{i % 10}" / f"{i:05}.png", compress_level=1)


def read(directory: str, count: int) -> float:
    command = [sys.executable, "-c", READ, f"folder:{directory}"]
    seconds, found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(found) == count
    return float(seconds)


if __name__ == "__main__":
    main()
