"""Train one network and predict every example with it: (recipe, data set, included, seed) -> prediction.

SGD with momentum and a triangular rate (section 5.1). Initialisation, batch order and augmentation draw
from three separate streams of the member's seed.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from memreg import margins, models, random
from memreg.allocator import keep_freed_memory
from memreg.data import augmentation, memory
from memreg.data.batches import batches, scale
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.members import Prediction, no_class
from memreg.models.evaluation import evaluation
from memreg.models.narrow import NarrowConvolutionsRefused
from memreg.models.trial import in_format, memory_format
from memreg.observers import Recorder
from memreg.recipe import Recipe
from memreg.sgd import rates_of, rates_on, same_layout, step_of_sgd
from memreg.static_step import computing_in
from memreg.tracing import Tracing
from memreg.user_code import called

Augmentation = augmentation.Draws | Callable[[Tensor], Tensor] | None
"""Draws for every image, or the user's function of a batch, or nothing."""
INITIALISATION, ORDER, AUGMENTATION = 1, 2, 3  # streams of one member's seed


@dataclass(frozen=True)
class Setting:
    """Where and how a member is trained. It is the same network, and to the bit on the same device, but where
    a GPU trains it in a stack or with fused passes, which round otherwise (`memreg.together`)."""

    device: str = "cpu"
    loader: str = "memory"
    curve: bool = False
    """Keep each epoch's mean training loss and its test accuracy."""
    tracing: Tracing | None = None
    """Keep what training shows of each training example."""


HERE = Setting()


@dataclass(frozen=True)
class Steps:
    """What a training sees."""

    order: Tensor
    """Training examples, shape [steps, batch_size]."""
    draws: Augmentation
    """What is done to their images."""
    loader: str = "memory"
    """What reads them."""


def train_member(
    recipe: Recipe,
    dataset: Dataset,
    included: NDArray[np.bool_],
    seed: int,
    epoch_size: int | None = None,
    setting: Setting = HERE,
) -> Prediction:
    """Train on the included examples (mask, shape [n_train]) and predict all n_train + n_test.

    Takes ceil(epochs * epoch_size / batch_size) steps, whatever the mask: members of a cell that see fewer
    examples than others still train as long. `epoch_size` is the number of included examples by default.
    The prediction is that of member 0: whoever asks knows which it is.
    """
    start = time.perf_counter()
    target = torch.device(setting.device)
    size = epoch_size or int(included.sum())
    steps = math.ceil(recipe.epochs * size / recipe.batch_size)
    rows = torch.from_numpy(np.flatnonzero(included))
    order = batch_order(rows, steps, recipe.batch_size, stream(seed, ORDER))
    draws = augmentation_of(recipe, dataset, order.numel(), stream(seed, AUGMENTATION))
    recorder = Recorder(setting.tracing, recipe, dataset, steps, seed) if setting.tracing else None
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []), deterministic():
        torch.manual_seed(random.seed(seed, INITIALISATION))
        model = new_model(recipe, dataset, target)
        logs: dict[str, dict[int, float]] = {"train_loss": {}, "test_accuracy": {}} if setting.curve else {}
        fit(model, recipe, dataset, Steps(order, draws, setting.loader), logs, recorder)
        predicted, margin, p_max = predict(model, dataset)
    seconds = time.perf_counter() - start
    trace = recorder.trace(included, rates_of(recipe, steps)) if recorder else None
    return Prediction(
        0, seed, included, predicted, p_max, seconds, margin, curve=logs, step="eager", trace=trace
    )


def deterministic() -> AbstractContextManager[None]:
    """Of cuDNN the algorithms that give the same bits each time, chosen without timing them, and no TF32."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def new_model(recipe: Recipe, dataset: Dataset, device: torch.device) -> nn.Module:
    """The recipe's network, initialised from torch's global generator, in a memory format that suits it."""
    keep_freed_memory()
    form = memory_format(recipe.model, dataset.image_shape, dataset.classes)
    model = models.build(recipe.model, dataset.image_shape, dataset.classes)
    return in_format(model.to(device), form)


def batch_order(rows: Tensor, steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Training indices, shape [steps, batch_size], cut from one shuffled pass over `rows` after another.

    Every batch is full: an epoch that does not divide ends inside a batch.
    """
    passes = math.ceil(steps * batch_size / len(rows))
    shuffled = torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(passes)])
    return shuffled[: steps * batch_size].reshape(steps, batch_size)


def fit(
    model: nn.Module,
    recipe: Recipe,
    dataset: Dataset,
    seen: Steps,
    logs: dict[str, dict[int, float]],
    recorder: Recorder | None = None,
) -> None:
    """Train `model` step by step, and let `recorder` look at it at its checkpoints.

    Where `logs` has the keys `train_loss` and `test_accuracy`, notes them at the end of each epoch, counted
    from 1; where a step ends several, of the last.
    """
    device = device_of(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    order, draws = seen.order, seen.draws
    steps = len(order)
    update = _updates(parameters, recipe, steps)
    own, drawn = (draws, None) if callable(draws) else (None, draws)
    ends = {math.ceil(steps * e / recipe.epochs): e for e in range(1, recipe.epochs + 1)} if logs else {}
    losses = []
    model.train()
    for step, (x, y) in enumerate(batches(dataset, order, drawn, device, seen.loader), 1):
        x = x if own is None else own(x)
        checked = NarrowConvolutionsRefused(recipe.model) if step == 1 else nullcontext()
        with computing_in(recipe.precision, device), checked:
            loss = F.cross_entropy(model(x), y)
        update(loss, step - 1)
        if logs:
            losses.append(loss.detach())
        if epoch := ends.get(step):
            logs["train_loss"][epoch] = float(torch.stack(losses).mean())
            logs["test_accuracy"][epoch] = _test_accuracy(model, dataset)
            losses = []
        if recorder is not None and step in recorder.steps:
            recorder.look(step, model)


def augmentation_of(
    recipe: Recipe, dataset: Dataset, images: int, generator: torch.Generator
) -> Augmentation:
    """What is done to as many images, in the order in which a training sees them."""
    if isinstance(recipe.augmentation, str):
        return augmentation.of_the_user(recipe.augmentation, generator)
    side = min(dataset.image_shape[1:])
    return augmentation.draw(images, side, recipe.augmentation, dataset.flip, generator)


def _updates(parameters: list[nn.Parameter], recipe: Recipe, steps: int) -> Callable[[Tensor, int], None]:
    """(loss, step) -> the parameters updated in place."""
    if recipe.optimizer is None:
        velocities = [torch.zeros_like(parameter) for parameter in parameters]
        rates = rates_on(parameters[0].device, recipe, steps)

        def descend(loss: Tensor, step: int) -> None:
            gradients = torch.autograd.grad(loss, parameters)
            if step == 0:
                same_layout(parameters, gradients, recipe.model)
            step_of_sgd(parameters, velocities, gradients, recipe, rates[step])

        return descend
    optimizer = optimizer_of_the_user(recipe.optimizer, parameters)
    peaks = [group["lr"] for group in optimizer.param_groups]
    shape = rates_of(recipe, steps)

    def update(loss: Tensor, step: int) -> None:
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * shape[step]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def optimizer_of_the_user(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """What `package.module:function` makes of the parameters. The learning rates that it sets are the peaks
    of the triangular schedule."""
    optimizer = called("optimizer", name, parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise MemregError(
            f"optimizer {name}: returned {type(optimizer).__name__}: it must return a torch.optim.Optimizer"
        )
    return optimizer


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def predict(
    model: nn.Module, dataset: Dataset
) -> tuple[NDArray[Any], NDArray[np.float16], NDArray[np.float16]]:
    """Class, margin (the label's log odds) and probability of the class for all N examples, each shape [N].

    The margin is z_y - logsumexp of the other logits; where the class is the label, its probability is that
    of the margin as it is stored.
    """
    images = memory.train_images(dataset, device_of(model)), memory.tensor(dataset.test_images)
    logits = torch.cat([_logits(model, x) for x in images]).float()
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    own = torch.from_numpy(labels).to(logits.device)[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    margin = margins.stored((logits.gather(1, own)[:, 0] - others).cpu().numpy())
    top, predicted = logits.softmax(1).max(1)
    missing = no_class(dataset.classes)
    classes = predicted.cpu().numpy().astype(np.uint8 if missing == 255 else np.uint16)
    right = classes == labels
    p_max = np.where(right, margins.probability(margin), top.half().cpu().numpy())
    if not bool(top.isfinite().all()):
        classes[:] = missing
    return classes, margin, p_max


@torch.inference_mode()
def _logits(model: nn.Module, images: Tensor, batch: int = 1024) -> Tensor:
    """float32 [n, classes], whatever the training's precision: bf16 has so few digits that classes tie."""
    with evaluation(model):
        return torch.cat([model(scale(x.to(device_of(model)))) for x in images.split(batch)])


def _test_accuracy(model: nn.Module, dataset: Dataset) -> float:
    predicted = _logits(model, memory.tensor(dataset.test_images)).argmax(1).cpu().numpy()
    return float(np.mean(predicted == dataset.test_labels))


def stream(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(random.seed(seed, stream))
