"""Images per second in training, memreg against the plain PyTorch loop, in one run, side by side.

    python benchmarks/training.py [--quick] [--data-dir DIR]

On VGG-6 with CIFAR-10 and on a small VGG with digits, with augmentation; steps of training alone, once warm,
data loading included. The plain loop is torchvision's transforms on PIL images, a DataLoader and the
same network by torch's own layers, on torch's default threads. memreg trains as many networks at once
as there are cores, whose rates are added. The loops take turns, and a row is the median of its turns.

The share is that of what this machine's own matrix product does in the same precision at that moment,
counting the products that a step needs: forward, and backward into weights and images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from training_loops import LOOPS, TASKS, plain_network

from memreg.precision import cpu_bf16

SIDE = 4096  # of the matrices


def product_rate(dtype: torch.dtype) -> float:
    """FLOP/s of a square matrix product on all of torch's threads: the best of several."""
    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * SIDE**3 / best


def flops_per_image(task: str) -> float:
    """Of the products in one image's part of a step."""
    _, model, batch = TASKS[task]
    channels, side = (1, 8) if task == "digits" else (3, 32)
    net, x = plain_network(model, channels, 10), torch.randn(batch, channels, side, side)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(net(x), torch.zeros(batch, dtype=torch.int64)).backward()
    return float(counter.get_total_flops()) / batch


def rate(loop: str, task: str, directory: Path, warmup: int, steps: int) -> float:
    """Images/s, of all processes of the loop together; NaN where the loop cannot run here."""
    processes = LOOPS[loop][1]
    command = [sys.executable, str(Path(__file__).with_name("training_loops.py")), loop, task]
    running = [
        subprocess.Popen(
            [*command, str(warmup), str(steps), "--data-dir", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    if not all(wait_for(p, "ready") for p in running):
        print(f"{loop} cannot run: {running[0].communicate()[1].strip().splitlines()[-1]}")
        return float("nan")
    for p in running:
        assert p.stdin is not None
        p.stdin.write("go\n")
        p.stdin.flush()
    rates = [float(wait_for(p, "images/s").split()[1]) for p in running]
    for p in running:
        p.communicate()
    return sum(rates)


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line
    return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("MEMREG_DATA_DIR") or "data"))
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else 3
    print(f"bf16 on this machine's CPU: {cpu_bf16()}\n")
    figures: dict[str, object] = {"cpu_bf16": cpu_bf16()}
    for task, steps in (("vgg6", 15 if arguments.quick else 50), ("digits", 100 if arguments.quick else 600)):
        name, model, batch = TASKS[task]
        flops = flops_per_image(task)
        products = {dtype: product_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
        print(
            f"{model} on {name}, batch {batch}: {flops / 1e6:.1f} MFLOP an image; matrix product "
            + ", ".join(f"{r / 1e9:.0f} GFLOP/s in {str(d)[6:]}" for d, r in products.items())
        )
        print(f"{'':38} {'images/s':>9} {'ms/step':>8} {'of product':>11} {'of plain':>9}")
        rates: dict[str, list[float]] = {loop: [] for loop in LOOPS}
        for _ in range(rounds):
            for loop in LOOPS:
                rates[loop].append(rate(loop, task, arguments.data_dir, max(3, steps // 10), steps))
        median = {loop: statistics.median(values) for loop, values in rates.items()}
        plain = max(median["plain0"], median["plain2"])
        for loop, (title, processes, _) in LOOPS.items():
            r = median[loop]
            share = r * flops / products[torch.bfloat16 if loop.startswith("bf16") else torch.float32]
            step = 1000 * batch * processes / r
            print(f"{title:38} {r:9,.0f} {step:8.2f} {share:11.0%} {r / plain:9.2f}")
        print()
        best = max(r for loop, r in median.items() if LOOPS[loop][2] and r == r)
        figures |= {f"{task}_ratio": round(best / plain, 3)}
        figures |= {f"{task}_{loop}": round(r, 1) for loop, r in median.items() if r == r}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
