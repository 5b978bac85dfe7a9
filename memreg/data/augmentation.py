"""Augmentation, vectorised on uint8 batches. What is drawn and how it is applied are kept apart, so
that every loader can feed the same draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from memreg.errors import MemregError
from memreg.user_code import called


@dataclass(frozen=True)
class Draws:
    """One draw for each image that a training will see, in order, shape [images]."""

    rows: Tensor
    """Shift in pixels, 0 .. 2 * padding."""
    columns: Tensor
    mirrored: Tensor | None
    """None where the data set does not allow it."""
    padding: int

    def each(self, change: Callable[[Tensor], Tensor]) -> "Draws":
        mirrored = None if self.mirrored is None else change(self.mirrored)
        return Draws(change(self.rows), change(self.columns), mirrored, self.padding)

    @property
    def tensors(self) -> list[Tensor]:
        return [self.rows, self.columns, *([] if self.mirrored is None else [self.mirrored])]


def draw(images: int, side: int, strength: float, flip: bool, generator: torch.Generator) -> Draws | None:
    """Uniform shifts by up to strength * side / 8 pixels (4 of 32 at strength 1) and fair coin flips.

    `side` is the shorter side in pixels; `flip` whether the data set allows mirroring. None for strength 0.
    """
    if strength == 0:
        return None
    padding = max(1, round(strength * side / 8))
    rows, columns = torch.randint(0, 2 * padding + 1, (2, images), generator=generator, dtype=torch.uint8)
    mirrored = torch.rand(images, generator=generator) < 0.5 if flip else None
    return Draws(rows, columns, mirrored, padding)


def side_by_side(draws: Sequence[Draws], steps: int) -> Draws:
    """Those of several trainings of as many steps: of each step the first training's, then the second's."""
    parts = zip(*(one.tensors for one in draws), strict=True)
    rows, columns, *mirrored = (torch.cat([t.view(steps, -1) for t in same], 1).flatten() for same in parts)
    return Draws(rows, columns, mirrored[0] if mirrored else None, draws[0].padding)


def of_the_user(name: str, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """The user's augmentation of a batch as the network sees it, float32 [B, channels, height, width].

    It is called with the batch and the generator, from which alone it may draw. Raises `MemregError` for what
    is no batch of the same shape.
    """

    def augment(images: Tensor) -> Tensor:
        result = called("augmentation", name, images, generator)
        if not isinstance(result, Tensor) or result.shape != images.shape or result.dtype != images.dtype:
            got = (
                f"{result.dtype} {tuple(result.shape)}"
                if isinstance(result, Tensor)
                else type(result).__name__
            )
            raise MemregError(
                f"augmentation {name}: returned {got}: it must return {images.dtype} {tuple(images.shape)}"
            )
        return result

    return augment


def apply(images: Tensor, draws: Draws) -> Tensor:
    """Translate with zero padding, then mirror. images: uint8 [B, height, width, channels]; the same back."""
    batch, height, width, _ = images.shape
    pad = draws.padding
    padded = torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    windows = padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)
    index = torch.arange(batch, device=images.device)
    shifted = windows[index, draws.rows.long(), draws.columns.long()]
    if draws.mirrored is not None:
        shifted = torch.where(draws.mirrored[:, None, None, None], shifted.flip(2), shifted)
    return shifted
