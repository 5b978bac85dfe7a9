"""The ways of training that cuda.py compares, each timed in images/s on data made on the spot.

    python benchmarks/cuda_loops.py WAY TASK DEVICE STEPS

runs one of the ways that take a process of their own: prints `ready` when warm, waits for a line, trains,
and prints `images/s`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL.Image import Image, fromarray
from torch.utils.flop_counter import FlopCounterMode

from memreg import models
from memreg.data.dataset import Dataset
from memreg.recipe import Recipe
from memreg.together import Places, Room
from memreg.training import Steps, augmentation_of, batch_order, deterministic, fit, new_model


@dataclass(frozen=True)
class Task:
    model: str
    side: int
    channels: int
    batch: int
    precision: str = "bf16"
    epochs: int = 100
    seen: int = 35_000
    """Images of an epoch: 0.7 of CIFAR-10's training images, or of the digits'."""

    @property
    def recipe(self) -> Recipe:
        return Recipe(model=self.model, batch_size=self.batch, learning_rate=0.1, precision=self.precision)

    @property
    def flops(self) -> float:
        """Of the products in one image's part of a step: forward, into images and into weights."""
        with torch.device("meta"):
            network = models.build(self.model, (self.channels, self.side, self.side), 10)
            images = torch.empty(8, self.channels, self.side, self.side)
            with FlopCounterMode(display=False) as counter:
                F.cross_entropy(network(images), torch.zeros(8, dtype=torch.int64)).backward()
        return float(counter.get_total_flops()) / 8


TASKS = {
    "vgg6": Task("vgg6", 32, 3, 512),
    "small": Task("vgg3-w16", 8, 1, 128, "float32", epochs=40, seen=1_000),
    "resnet18": Task("resnet18", 32, 3, 512),
    "vit-tiny": Task("vit-tiny", 32, 3, 512),
}
TINY = {
    "vgg6": Task("vgg6-w16", 32, 3, 8),
    "small": Task("vgg3-w4", 8, 1, 16, "float32", epochs=40, seen=1_000),
    "resnet18": Task("resnet8-w4", 32, 3, 8),
    "vit-tiny": Task("vit-micro", 8, 1, 16),
}
"""What a dry run has in their place."""


def images_of(task: Task, n: int) -> Dataset:
    """Random images and labels of the task's shape."""
    generator = np.random.default_rng(0)
    train, test = (
        generator.integers(0, 256, (count, task.side, task.side, task.channels), np.uint8)
        for count in (n, n // 5)
    )
    labels = generator.integers(0, 10, n + n // 5)
    return Dataset("random", train, labels[:n], test, labels[n:], classes=10, flip=task.side > 8)


def members_of(dataset: Dataset, n: int) -> list[tuple[np.ndarray, int]]:
    generator = np.random.default_rng(1)
    return [(generator.random(dataset.n_train) < 0.7, seed) for seed in range(n)]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def unawaited(device: torch.device) -> Iterator[None]:
    """An error where something asks the device for a value, and so waits for it."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def timed(step: Callable[[], object], device: torch.device, steps: int) -> float:
    """Seconds of one of these steps."""
    wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait(device)
    return (time.perf_counter() - start) / steps


def together_rate(task: Task, device: torch.device, steps: int, places: Places) -> float:
    """Images/s of members in one process, by recorded steps."""
    dataset, n = images_of(task, 2_000), places.most * places.networks
    room = Room(task.recipe, dataset, 4 * steps, device, places)
    with deterministic():
        advance = room.begin(members_of(dataset, n))
        if places.fused and "fused" not in room.how:
            raise RuntimeError("the network could not be compiled, or not to the same numbers")
        for _ in range(max(3, steps // 5)):
            advance()
        with unawaited(device):
            seconds = timed(advance, device, steps)
    return n * task.batch / seconds


def eager(task: Task, device: torch.device) -> Callable[[int], None]:
    """memreg's loop, step by step."""
    dataset = images_of(task, 2_000)
    with deterministic():
        network = new_model(task.recipe, dataset, device)
    generator = torch.Generator().manual_seed(0)

    def train(steps: int) -> None:
        order = batch_order(torch.arange(dataset.n_train), steps, task.batch, generator)
        draws = augmentation_of(task.recipe, dataset, order.numel(), generator)
        with deterministic():
            fit(network, task.recipe, dataset, Steps(order, draws), {})
        wait(device)

    return train


def plain(task: Task, device: torch.device) -> Callable[[int], None]:
    """As a researcher writes it: torchvision's transforms, a DataLoader with workers, torch.optim.SGD, and
    autocast where the task is in bf16."""
    from torch.utils.data import DataLoader
    from torch.utils.data import Dataset as Pairs
    from torchvision import transforms as T

    dataset = images_of(task, 40 * task.batch)  # enough for every worker of the loader
    padding, mirror = max(1, task.side // 8), [T.RandomHorizontalFlip()] if dataset.flip else []
    change = T.Compose(
        [T.RandomCrop(task.side, padding=padding), *mirror, T.ToTensor(), T.Normalize(0.5, 0.25)]
    )
    pictures = [fromarray(image.squeeze()) for image in dataset.train_images]
    pairs = list(zip(pictures, dataset.train_labels.tolist(), strict=True))
    workers = 8 if device.type == "cuda" else 0
    loader = DataLoader(
        cast(Pairs[tuple[Image, int]], pairs),  # torch takes any sequence, but does not say so
        task.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        collate_fn=partial(_changed, change),
    )
    network = models.build(task.model, dataset.image_shape, 10).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-5)
    bf16 = task.precision == "bf16"

    def train(steps: int) -> None:
        done = 0
        while done < steps:
            for x, y in loader:
                images, labels = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
                optimizer.zero_grad()
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    loss = F.cross_entropy(network(images), labels)
                loss.backward()
                optimizer.step()
                done += 1
                if done == steps:
                    break
        wait(device)

    return train


def _changed(
    change: Callable[[Image], torch.Tensor], pairs: list[tuple[Image, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([change(image) for image, _ in pairs]), torch.tensor([label for _, label in pairs])


WAYS = {"eager": eager, "plain": plain}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("device")
    parser.add_argument("steps", type=int)
    parser.add_argument("--tiny", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    task = (TINY if a.tiny else TASKS)[a.task]
    train = WAYS[a.way](task, torch.device(a.device))
    train(max(3, a.steps // 5))
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    train(a.steps)
    print("images/s", a.steps * task.batch / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
