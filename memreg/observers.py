"""What looks at a network while it is trained, and writes down what it sees of each training example.

An observer is a function (network, images, labels) -> {name: numbers}: the network is in evaluation, images
are float32 [n, channels, height, width] as it takes them, without augmentation, labels int64 [n], and what it
gives are tensors [n], or [n, d] of vectors. It may take gradients, and must leave the network as it is.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from memreg import margins, models, random
from memreg.data import memory
from memreg.data.batches import scale
from memreg.data.dataset import Dataset
from memreg.errors import MemregError
from memreg.estimators.traces import FIT, Traces
from memreg.models.evaluation import evaluation
from memreg.recipe import Recipe
from memreg.tracing import Tracing
from memreg.user_code import called, is_code

Observer = Callable[[nn.Module, Tensor, Tensor], Mapping[str, Tensor]]
BATCH = 1024
STREAM = 4
"""Of a member's seed: what observers draw."""
RESERVED = ("member", "included", "steps", "rates")
"""Names of what a trace has beside quantities."""
DRAWS, STEP = 10, 1e-3
"""Of curvature: directions, and how far along each (Garg, Ravikumar & Roy 2023)."""
BACKWARD = 3
"""Passes that an image counts whose gradients are taken; without them it counts one."""


@torch.no_grad()
def fit(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Cross-entropy, the label's log odds, whether it is predicted, and |p - y| (EL2N, Paul et al. 2021)."""
    logits = model(images).float()
    margin = _log_odds(logits, labels)
    error = logits.softmax(1).scatter_add(1, labels[:, None], torch.full_like(logits[:, :1], -1))
    return {
        "loss": F.softplus(-margin),
        "margin": margin,
        "correct": logits.argmax(1) == labels,
        "el2n": error.norm(dim=1),
    }


def curvature(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """How much the loss bends around each image: the root of E |H v|^2 over random directions v of +1 and -1,
    H the Hessian of the loss by the image, by differences of its gradient (Hutchinson; Garg, Ravikumar & Roy
    2023, "Memorization through the lens of curvature of loss function around samples", with their 10
    directions and step of 1e-3)."""
    here = _image_gradient(model, images, labels)
    total = torch.zeros(len(images), device=images.device)
    for _ in range(DRAWS):
        direction = STEP * (2.0 * torch.randint_like(images, 2) - 1)
        change = (_image_gradient(model, images + direction, labels) - here) / STEP
        total += change.flatten(1).square().sum(1)
    return {"curvature": (total / DRAWS).sqrt()}


def gradient_norm(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Length of the gradient of the loss by weights and bias of the last layer: |p - y| (|h|^2 + 1)^(1/2), h
    what the layer is given (GraNd of the last layer, Paul et al. 2021)."""
    given, logits, bias = _last_layer(model, images)
    error = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    return {"gradient_norm": error.norm(dim=1) * (given.square().sum(1) + bias).sqrt()}


def features(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What the last layer is given, [n, width]: kept at the last checkpoint alone."""
    return {"features": _last_layer(model, images)[0]}


def last_layer(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What the last layer is given, [n, width], with a column of ones behind it where the layer has biases,
    what it gives, [n, classes], and the label, [n, 1]: kept at the last checkpoint alone."""
    given, logits, bias = _last_layer(model, images)
    given = torch.cat([given, torch.ones(len(given), bias, device=given.device)], 1)
    return {"layer_input": given, "layer_output": logits, "layer_label": labels[:, None]}


@torch.no_grad()
def queries(model: nn.Module, images: Tensor, labels: Tensor, mirrored: bool) -> dict[str, Tensor]:
    """The label's log odds on `views` of each image, [n, views], for `memreg privacy --queries`: kept at the
    last checkpoint alone. mirrored: whether the data set may be."""
    seen = [_log_odds(model(view).float(), labels) for view in views(images, mirrored)]
    return {"queries": torch.stack(seen, 1)}


def views(images: Tensor, mirrored: bool) -> Iterator[Tensor]:
    """Of images as networks take them: the eight shifts by one step up or down, left or right, row by row,
    and where they may be mirrored, the mirror image with its eight, in the same order.

    They are what augmentation makes: moved by half of what it moves at most at strength 1 (2 pixels of 32),
    by one pixel at least, and black where there was nothing.
    """
    height, width = images.shape[2:]
    step = max(1, round(min(height, width) / 16))
    black = scale(images.new_zeros(1, 1, 1, 1)).item()
    padded = F.pad(images, (step, step, step, step), value=black)
    for flipped in (False, True)[: 1 + mirrored]:
        for row, column in product((0, step, 2 * step), repeat=2):
            if flipped or (row, column) != (step, step):
                view = padded[:, :, row : row + height, column : column + width]
                yield view.flip(3) if flipped else view


OWN: dict[str, Observer] = {
    "curvature": curvature,
    "gradient_norm": gradient_norm,
    "features": features,
    "last_layer": last_layer,
}
"""By the names that `memreg.tracing` knows, but for `queries`, which takes one thing more."""


class Recorder:
    """Keeps what observers see of one member. It draws from streams of its own, so that a traced member has
    the bits of one that is not."""

    def __init__(self, tracing: Tracing, recipe: Recipe, dataset: Dataset, steps: int, seed: int) -> None:
        self.steps = tracing.at(steps)
        self._tracing, self._recipe, self._dataset = tracing, recipe, dataset
        self._total, self._seed = steps, seed
        self._seen: list[dict[str, Tensor]] = []
        self._passes: dict[str, int] = {}
        self._giver: dict[str, str] = {}
        self._of_vectors = set[str]()  # observers that give nothing else: they are asked at the end

    def look(self, step: int, model: nn.Module) -> None:
        """Let every observer look at the network after a step of training."""
        device = next(model.parameters()).device
        observers = self._tracing.observers
        state = {name: value.clone() for name, value in model.state_dict().items()} if observers else {}
        seen: dict[str, list[Tensor]] = {}
        last = step == self._total
        forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        with evaluation(model), forked:
            for batch, (images, labels) in enumerate(self._batches(device)):
                for name in ("fit", *(name for name, _ in observers)):
                    if name in self._of_vectors and not last:
                        continue
                    own = zlib.crc32(name.encode())  # what an observer draws depends on no other
                    torch.manual_seed(random.seed(self._seed, STREAM, step, batch, own))
                    given = self._asked(name, model, images, labels)
                    if given and all(values.ndim == 2 for values in given.values()):
                        self._of_vectors.add(name)
                    for key, values in given.items():
                        if self._giver.setdefault(key, name) != name:
                            raise MemregError(f"observers {self._giver[key]} and {name} both give {key}")
                        if values.ndim == 1 or last:
                            seen.setdefault(key, []).append(values)
        if observers and any(not torch.equal(v, state[name]) for name, v in model.state_dict().items()):
            names = ", ".join(name for name, _ in observers)
            raise MemregError(f"observers {names}: one has changed the network: it must leave it as it is")
        found = {key: torch.cat(parts) for key, parts in seen.items()}
        if any(len(values) != self._dataset.n_train for values in found.values()):
            raise MemregError("an observer gave a quantity for some of the images alone: it must for all")
        self._seen.append(found)

    def trace(self, included: NDArray[np.bool_], rates: NDArray[np.float64]) -> Traces:
        """What was seen of a member, which is called 0; rates: learning rate of each step, shape [steps]."""
        each = {key for key, values in self._seen[-1].items() if values.ndim == 1}
        for seen in self._seen[:-1]:
            if other := each ^ seen.keys():
                raise MemregError(f"an observer gave {min(other)} at some checkpoints alone: it must at each")
        kept = {
            key: _stored(key, [seen[key] for seen in self._seen if key in seen]) for key in self._seen[-1]
        }
        taken = self._total * self._recipe.batch_size * BACKWARD
        return Traces(
            np.zeros(1, np.int32),
            included[None],
            self.steps,
            rates[self.steps - 1],
            {name: np.array([count / taken]) for name, count in self._passes.items()},
            kept,
        )

    def _batches(self, device: torch.device) -> Any:
        images, labels = self._dataset.train_images, memory.tensor(self._dataset.train_labels).to(device)
        for first in range(0, len(images), BATCH):
            part = slice(first, first + BATCH)
            yield scale(memory.tensor(images[part]).to(device)), labels[part]

    def _asked(self, name: str, model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What an observer gives, checked, and how many passes of how many images it took."""
        count = 0

        def counts(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            count += len(arguments[0]) * (BACKWARD if torch.is_grad_enabled() else 1)

        hook = model.register_forward_pre_hook(counts)
        try:
            given = _given(name, model, images, labels, self._dataset.flip)
        finally:
            hook.remove()
        self._passes[name] = self._passes.get(name, 0) + count
        return _checked(name, given, len(images))


def try_observers(tracing: Tracing, model: str, dataset: Dataset) -> None:
    """Let every observer look at two images by a new network: one that cannot is refused before anything is
    trained. Draws nothing from torch's random stream."""
    with torch.random.fork_rng(devices=[]):
        network = models.build(model, dataset.image_shape, dataset.classes).eval()
        images = scale(memory.tensor(dataset.train_images[:2]))
        labels = memory.tensor(dataset.train_labels[:2])
        for name, _ in tracing.observers:
            _checked(name, _given(name, network, images, labels, dataset.flip), len(images))


def _given(name: str, model: nn.Module, images: Tensor, labels: Tensor, mirrored: bool) -> Any:
    """mirrored: whether the data set may be."""
    if is_code(name):
        return called("observer", name, model, images, labels)
    if name == "queries":
        return queries(model, images, labels, mirrored)
    return (fit if name == "fit" else OWN[name])(model, images, labels)


def _checked(name: str, given: Any, n: int) -> dict[str, Tensor]:
    if not isinstance(given, Mapping):
        raise MemregError(f"observer {name}: returned {type(given).__name__}: it must return a mapping")
    for key, values in given.items():
        if name != "fit" and (key in (*FIT, *RESERVED) or not isinstance(key, str) or "/" in key):
            raise MemregError(f"observer {name}: {key} is what traces have already: choose another name")
        if not isinstance(values, Tensor) or values.ndim not in (1, 2) or len(values) != n:
            shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise MemregError(f"observer {name}: {key} is {shape}: it must be a tensor [{n}] or [{n}, d]")
    return {key: values.detach() for key, values in given.items()}


def _stored(key: str, seen: list[Tensor]) -> NDArray[Any]:
    """[1, C, n]; of vectors [1, n, d]. float16 held within its range; truth values as they are."""
    values = torch.stack(seen) if seen[0].ndim == 1 else seen[-1]
    array = values.cpu().numpy()
    if array.dtype != np.bool_:
        is_margin = key in ("margin", "queries")
        array = margins.stored(array) if is_margin else np.clip(array, -65504, 65504).astype(np.float16)
    return array[None]


def _log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    own = labels[:, None]
    return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).logsumexp(1)


def _image_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    at = images.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(at), labels, reduction="sum"), at)[0]


@torch.no_grad()
def _last_layer(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, int]:
    """What the last layer is given, [n, width]; what it gives, [n, classes]; and whether it has a bias.

    Raises `MemregError` for a network that does not end in a linear layer.
    """
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    passed: list[tuple[Tensor, Tensor, int]] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        passed.append((given[0], result, int(module.bias is not None)))

    hooks = [module.register_forward_hook(keep) for module in linear]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not passed or passed[-1][0].ndim != 2 or not torch.equal(passed[-1][1], logits):
        raise MemregError(
            "gradient_norm, features and last_layer are of a network that ends in a linear layer: leave them "
            "out"
        )
    return passed[-1][0].float(), logits.float(), passed[-1][2]
