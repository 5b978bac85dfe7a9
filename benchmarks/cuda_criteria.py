"""What cuda.py measures and asks for.

Data are made on the spot. Rates are images of training a second. A criterion is printed as pass or FAIL; the
exit status is 1 where one failed. In a dry run only those on bits and accuracy count.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Timer

import numpy as np
import torch
from cuda_bits import bits, member_digests
from cuda_loops import TASKS, TINY, Task, images_of, members_of, timed, together_rate

from memreg.cell import Cell
from memreg.data import load
from memreg.data.dataset import Dataset
from memreg.design import Subsets
from memreg.errors import MemregError
from memreg.recipe import Recipe
from memreg.resources import Resources, cores
from memreg.studies.calibration import calibration
from memreg.together import STACK, Places, Room
from memreg.training import (
    deterministic,
    train_member,
)

LOOPS = Path(__file__).with_name("cuda_loops.py")
PATIENCE = 120.0
"""Seconds for other processes to begin and to be timed."""
JUDGED = {"vgg6": 1.6, "small": 4.0}
"""Tasks whose ways are compared, and how many times as fast a captured step must be as an eager one."""
PAPER = {"the paper's grid": (43_500, 24.4e15), "its Figure 2": (24_000, 4e12 * 120)}
"""Networks, and the operations of one: docs/cluster.md has the arithmetic. A VGG-6 of Figure 2 took the paper
2 minutes at about 4 TFLOP/s."""


@dataclass
class Bench:
    device: torch.device
    dry: bool
    figures: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> dict[str, Task]:
        return TINY if self.dry else TASKS

    @property
    def steps(self) -> dict[str, int]:
        long = {"vgg6": 60, "small": 400, "resnet18": 30, "vit-tiny": 30}
        return dict.fromkeys(long, 3) if self.dry else long

    def note(self, name: str, value: float) -> float:
        self.figures[name] = round(value, 4)
        return value

    def criterion(self, said: str, value: float, aim: float, counts: bool = True) -> None:
        """`value` must be at least `aim`."""
        verdict = "pass" if value >= aim else "FAIL"
        if self.dry and not counts:
            verdict = "not judged in a dry run"
        elif verdict == "FAIL":
            self.failed.append(said)
        print(f"  {said}: {value:.3g}, at least {aim:g}: {verdict}")


def rates_of_the_card(bench: Bench) -> float:
    """Prints what the card multiplies and copies; gives FLOP/s of a bf16 product."""
    side = 256 if bench.dry else 8192
    a, b = (torch.randn(side, side, device=bench.device).bfloat16() for _ in range(2))
    products = {}
    for name, x, y in (("bf16", a, b), ("float32", a.float(), b.float())):
        product = partial(torch.matmul, x, y)
        timed(product, bench.device, 3)
        products[name] = 2 * side**3 / timed(product, bench.device, 10)
    host = torch.empty(
        2**20 if bench.dry else 2**28, dtype=torch.uint8, pin_memory=bench.device.type == "cuda"
    )
    card = torch.empty_like(host, device=bench.device)
    copied = {
        "to the card": lambda: card.copy_(host, non_blocking=True),
        "on the card": lambda: card.copy_(card.flip(0), non_blocking=True),
    }
    rates = {name: len(host) / timed(copy, bench.device, 5) for name, copy in copied.items()}
    print("product " + ", ".join(f"{rate / 1e12:.3g} TFLOP/s in {name}" for name, rate in products.items()))
    print("copies " + ", ".join(f"{rate / 1e9:.3g} GB/s {name}" for name, rate in rates.items()))
    return bench.note("product_bf16", products["bf16"])


def separate(bench: Bench, way: str, name: str, processes: int, device: str | None = None) -> float:
    """Images/s of so many processes at once; NaN where one of them ends early, and the cause is printed."""
    command = [sys.executable, str(LOOPS), way, name, device or str(bench.device), str(bench.steps[name])]
    command += ["--tiny"] if bench.dry else []
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
            for _ in range(processes)
        ]
        stack.callback(end, running)
        late = Timer(PATIENCE, end, [running])
        stack.callback(late.cancel)
        late.start()
        if all(said(process, "ready") for process in running):
            for process in running:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            if all(rates := [said(process, "images/s") for process in running]):
                return sum(float(rate.split()[1]) for rate in rates)
        errors.seek(0)
        print(f"  {way} of {processes}: {(errors.read().splitlines() or ['ended without a word'])[-1]}")
        return float("nan")


def end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    return next((line for line in process.stdout if line.startswith(word)), "")


def ways_of(bench: Bench, name: str) -> dict[str, Callable[[], float]]:
    """What is compared on one task: what it is called, and what gives its images/s."""
    task, steps = bench.tasks[name], bench.steps[name]

    def together(places: Places) -> Callable[[], float]:
        return partial(together_rate, task, bench.device, steps, places)

    ways = {f"captured, S = {s}": together(Places(most=s)) for s in ((1, 2) if bench.dry else (1, 2, 4, 8))}
    if bench.dry and name not in JUDGED:
        return ways
    ways["plain loop"] = partial(separate, bench, "plain", name, 1)
    many = (1, 2) if bench.dry else (1, 4, 16)
    ways |= {f"eager, {n} processes": partial(separate, bench, "eager", name, n) for n in many}
    ways["fused, S = 1"] = together(Places(most=1, fused=True))
    if name == "small":
        for k in (4, 8) if bench.dry else (64, 256):
            ways[f"stacked, K = {k}"] = together(Places(most=1, networks=k))
        ways["the host's cores"] = partial(separate, bench, "eager", name, 2 if bench.dry else cores(), "cpu")
    return ways


def table(bench: Bench, name: str, product: float) -> dict[str, float]:
    task = bench.tasks[name]
    flops = task.flops
    title = f"{task.model}, {task.side}x{task.side}, batch {task.batch}, {task.precision}"
    print(f"\n{title}: {flops / 1e6:.3g} MFLOP an image")
    print(f"{'':24} {'images/s':>12} {'of product':>11} {'networks/h':>11} {'peak memory':>12}")
    rates = {}
    for way, measure in ways_of(bench, name).items():
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            rate = measure()
        except (RuntimeError, MemregError) as error:
            print(f"  {way}: {str(error).partition(chr(10))[0]}")
            rate = float("nan")
        rates[way] = bench.note(f"{name}: {way}", rate)
        inside = bench.device.type == "cuda" and way.startswith(("captured", "fused", "stacked"))
        peak = f"{torch.cuda.max_memory_reserved() / 2**30:.2f} GiB" if inside else ""
        networks = 3600 * rate / (task.epochs * task.seen)
        print(f"{way:24} {rate:12,.0f} {rate * flops / product:11.2%} {networks:11,.1f} {peak:>12}")
    return rates


def best(rates: dict[str, float], word: str) -> float:
    return max((rate for way, rate in rates.items() if word in way and rate == rate), default=math.nan)


def accuracy(bench: Bench) -> None:
    """Of members stacked against the CPU's: the difference of test accuracies, in standard errors."""
    n = 8 if bench.dry else 64
    dataset = load("digits+subset=300" if bench.dry else "digits")
    recipe = Recipe(model="vgg3-w8", epochs=4 if bench.dry else 20, batch_size=32, learning_rate=0.1)
    members, size = members_of(dataset, n), int(0.7 * dataset.n_train)
    steps = math.ceil(recipe.epochs * size / recipe.batch_size)
    with deterministic():
        stack = Room(recipe, dataset, steps, bench.device, Places(1, 8 if bench.dry else STACK)).train(
            members
        )
    alone = [train_member(recipe, dataset, included, seed, size) for included, seed in members]
    right = [
        np.array([np.mean(p.predicted[dataset.n_train :] == dataset.test_labels) for p in found])
        for found in (stack, alone)
    ]
    difference = right[0] - right[1]
    error = difference.std(ddof=1) / math.sqrt(n)
    print(
        f"\naccuracy of {n} members: stacked {right[0].mean():.4f}, on the CPU {right[1].mean():.4f}, "
        f"difference {difference.mean():+.4f}, standard error {error:.4f}"
    )
    bench.criterion("2 standard errors less the difference", 2 * error - abs(difference.mean()), 0)


def plan(bench: Bench) -> None:
    """`memreg plan`'s estimate of a member against the clock."""
    task = bench.tasks["vgg6"]
    dataset: Dataset = images_of(task, 400 if bench.dry else 20_000)
    recipe = task.recipe.model_copy(update={"epochs": 1 if bench.dry else 5})
    cell = Cell(dataset="random", dataset_fingerprint="random", recipe=recipe, design=Subsets(r=0.7))
    with calibration(Resources(device=str(bench.device), workers=1)) as measured:
        said = measured.member_seconds(cell, dataset)
    start = time.perf_counter()
    n = 2 if bench.dry else 8
    size = cell.design.size(dataset.n_train)
    steps = math.ceil(cell.recipe.epochs * size / cell.recipe.batch_size)
    with deterministic():
        Room(cell.recipe, dataset, steps, bench.device, Places()).train(members_of(dataset, n))
    took = (time.perf_counter() - start) / n
    print(f"\nplan: {said:.3g} s a member; the clock: {took:.3g} s")
    bench.criterion(
        "plan within 25 %: smaller over larger", min(said, took) / max(said, took), 0.75, counts=False
    )


def judge(bench: Bench, rates: dict[str, dict[str, float]], product: float) -> None:
    print("\ncriteria")
    for name, aim in JUDGED.items():
        found = rates[name]
        captured = best(found, "captured")
        one = found["eager, 1 processes"]
        bench.criterion(f"{name}: captured over eager, one process", captured / one, aim, False)
        bench.criterion(
            f"{name}: captured over the best of eager", captured / best(found, "eager"), 1.25, False
        )
        ratio = best(found, "fused") / found["captured, S = 1"]
        bench.criterion(f"{name}: fused over captured", ratio, 1.25, False)
    ratio = best(rates["small"], "stacked") / rates["small"]["the host's cores"]
    bench.criterion("small: stacked over the host's cores", ratio, 3, False)
    for name, aim in (("vgg6", 0.15), ("resnet18", 0.33)):
        share = best(rates[name], "captured") * bench.tasks[name].flops / product
        bench.criterion(f"{name}: share of the product rate", share, aim, False)


def paper(bench: Bench, rates: dict[str, dict[str, float]]) -> None:
    print("\nwhat the paper takes at these rates")
    for (what, (networks, flops)), name in zip(PAPER.items(), ("resnet18", "vgg6"), strict=True):
        task = bench.tasks[name]
        rate = max(best(rates[name], "captured"), best(rates[name], "eager")) * task.flops
        hours = networks * flops / rate / 3600
        print(
            f"  {what}, {networks:,} networks at {task.model}'s {rate / 1e12:.3g} TFLOP/s: "
            f"{hours:,.0f} hours on 1 GPU, {hours / 8:,.0f} on 8, {hours / 64:,.0f} on 64"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dry-run", action="store_true", help="every path on the CPU, with tiny sizes")
    parser.add_argument("--digest", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        sys.exit("torch sees no GPU here: --dry-run runs every path on the CPU")
    torch.set_num_threads(1)
    where = "cpu" if arguments.dry_run else f"cuda:{torch.cuda.current_device()}"
    bench = Bench(torch.device(where), arguments.dry_run)
    if arguments.digest:
        for fused in (False, True):
            print(member_digests(bench, Places(1, fused=fused))[0])
        return
    print(
        f"torch {torch.__version__} on {'the CPU: a dry run' if bench.dry else torch.cuda.get_device_name()}"
    )
    product = rates_of_the_card(bench)
    rates = {name: table(bench, name, product) for name in bench.tasks}
    for part in (bits, accuracy, plan):
        try:
            part(bench)
        except (RuntimeError, MemregError) as error:
            print(f"  {part.__name__}: {str(error).partition(chr(10))[0]}")
            bench.failed.append(part.__name__)
    judge(bench, rates, product)
    paper(bench, rates)
    print(json.dumps(bench.figures))
    if bench.failed:
        sys.exit(f"FAILED: {'; '.join(bench.failed)}")
