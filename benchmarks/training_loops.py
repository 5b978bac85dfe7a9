"""The loops that training.py compares. Each runs in processes of its own:

    python benchmarks/training_loops.py LOOP TASK WARMUP STEPS

prints `ready` when warm, waits for a line, trains, and prints `images/s`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL.Image import Image, fromarray
from torch import nn

from memreg.data import load
from memreg.models.layouts import VGG

TASKS = {  # data set, model, batch size
    "vgg6": ("cifar10", "vgg6", 256),
    "digits": ("digits", "vgg3-w16", 128),
}
LOOPS = {  # what each is called, how many processes, how many torch threads each (None: torch's default)
    "plain0": ("plain loop, 0 workers", 1, None),
    "plain2": ("plain loop, 2 workers", 1, None),
    "usual0": ("plain loop, pooling last, 0 workers", 1, None),
    "ffcv": ("plain loop, FFCV", 1, None),
    "float32-1x2": ("memreg float32, 1 network on 2 cores", 1, 2),
    "bf16-1x2": ("memreg bf16, 1 network on 2 cores", 1, 2),
    "float32-2x1": ("memreg float32, 2 networks at once", 2, 1),
    "bf16-2x1": ("memreg bf16, 2 networks at once", 2, 1),
}


def plain_network(model: str, channels: int, classes: int, pool_last: bool = False) -> nn.Sequential:
    """memreg's VGG as anybody would write it; with `pool_last` in the order of torchvision's."""
    layers: list[nn.Module] = []
    for stage in VGG[model]:
        for i, features in enumerate(stage, 1):
            norm = [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
            pool = [nn.MaxPool2d(2)] if i == len(stage) else []
            conv = nn.Conv2d(channels, features, 3, padding=1, bias=False)
            layers += [conv, *norm, *pool] if pool_last else [conv, *pool, *norm]
            channels = features
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, classes))


def transforms(task: str) -> Callable[[Image], torch.Tensor]:
    from torchvision import transforms as T

    change: Callable[[Image], torch.Tensor] = T.Compose(
        [T.RandomCrop(8, padding=1), T.ToTensor(), T.Normalize(0.3, 0.37)]
        if task == "digits"
        else [
            T.RandomCrop(32, padding=4),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        ]
    )
    return change


def plain_batches(task: str, directory: Path, batch: int, workers: int) -> Iterator[list[torch.Tensor]]:
    """PIL images, torchvision's transforms, a DataLoader."""
    from torch.utils.data import DataLoader, Dataset
    from torchvision import datasets

    class Digits(Dataset[tuple[torch.Tensor, int]]):
        def __init__(self, transform: Callable[[Image], torch.Tensor]) -> None:
            digits = load("digits")
            self.images = [fromarray(image[:, :, 0]) for image in digits.train_images]
            self.labels = digits.train_labels.tolist()
            self.transform = transform

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            return self.transform(self.images[i]), self.labels[i]

    if task == "digits":
        dataset = Digits(transforms(task))
    else:
        dataset = datasets.CIFAR10(str(directory), train=True, transform=transforms(task))
    loader = DataLoader(
        dataset,
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def ffcv_batches(task: str, directory: Path, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """As in FFCV's CIFAR example."""
    threads = torch.get_num_threads()
    from ffcv.fields import IntField, NDArrayField, RGBImageField
    from ffcv.fields.decoders import IntDecoder, NDArrayDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import (
        Convert,
        RandomHorizontalFlip,
        RandomTranslate,
        Squeeze,
        ToTensor,
        ToTorchImage,
    )
    from ffcv.writer import DatasetWriter
    from torchvision import transforms as T

    torch.set_num_threads(threads)
    dataset = load(TASKS[task][0], directory)

    class Rows:
        def __len__(self) -> int:
            return dataset.n_train

        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            return np.ascontiguousarray(dataset.train_images[i]), int(dataset.train_labels[i])

    if task == "digits":  # one channel: not an image to FFCV, nor to its transforms
        field, decoder, augment = NDArrayField(np.dtype("uint8"), (8, 8, 1)), NDArrayDecoder(), []
        normalise = T.Normalize(0.3 * 255, 0.37 * 255)
    else:
        field, decoder = RGBImageField(), SimpleRGBImageDecoder()
        augment = [RandomHorizontalFlip(), RandomTranslate(padding=4)]
        normalise = T.Normalize((125.3, 123, 113.9), (63, 62.1, 66.7))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/train.beton"
        DatasetWriter(path, {"image": field, "label": IntField()}, num_workers=1).from_indexed_dataset(Rows())
        loader = Loader(
            path,
            batch_size=batch,
            num_workers=2,
            order=OrderOption.RANDOM,
            os_cache=True,
            drop_last=True,
            pipelines={
                "image": [
                    decoder,
                    *augment,
                    ToTensor(),
                    ToTorchImage(),
                    Convert(torch.float32),
                    normalise,
                ],
                "label": [IntDecoder(), ToTensor(), Squeeze(1)],
            },
        )
        while True:
            yield from loader


def plain_steps(loop: str, task: str, directory: Path) -> Iterator[None]:
    """One step of training for each `next`."""
    _, model, batch = TASKS[task]
    batches = (
        ffcv_batches(task, directory, batch)
        if loop == "ffcv"
        else plain_batches(task, directory, batch, int(loop[-1]))
    )
    net = plain_network(model, 1 if task == "digits" else 3, 10, pool_last=loop.startswith("usual"))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        yield


def memreg_training(loop: str, task: str, directory: Path) -> Callable[[int], None]:
    """A function that trains for so many steps."""
    from memreg.recipe import Recipe
    from memreg.training import Steps, augmentation_of, batch_order, fit, new_model

    name, model, batch = TASKS[task]
    recipe = Recipe(model=model, batch_size=batch, learning_rate=0.1, precision=loop.partition("-")[0])
    dataset = load(name, directory)
    net = new_model(recipe, dataset, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)

    def train(steps: int) -> None:
        order = batch_order(torch.arange(dataset.n_train), steps, batch, generator)
        draws = augmentation_of(recipe, dataset, order.numel(), generator)
        fit(net, recipe, dataset, Steps(order, draws), {})

    return train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("warmup", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--data-dir", type=Path, required=True)
    a = parser.parse_args()
    threads = LOOPS[a.loop][2]
    if threads:
        torch.set_num_threads(threads)
        train = memreg_training(a.loop, a.task, a.data_dir)
    else:
        step = plain_steps(a.loop, a.task, a.data_dir)

        def train(steps: int) -> None:
            for _ in range(steps):
                next(step)

    train(a.warmup)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    train(a.steps)
    print("images/s", a.steps * TASKS[a.task][2] / (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
