"""A model that runs out of memory, where more processes than there is room for have trained it."""

from studies import TINY, tiny

from memreg.engines import Job
from memreg.members import Members
from memreg.studies.resolved import resolve

HUNGRY = """
import os
from pathlib import Path
import torch
from torch import nn

ROOM = Path(__file__).with_name("room")
"How many processes have room for a member."


class Hungry(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images):
        if self.training and len(images) > 2:  # not where it is only tried
            allocate()
        return self.layer(images.flatten(1))


def allocate():
    held = ROOM.with_name("held")
    held.mkdir(exist_ok=True)
    held.joinpath(str(os.getpid())).touch()
    if len([pid for pid in os.listdir(held) if Path("/proc", pid).exists()]) > int(ROOM.read_text()):
        ERROR


def model(image_shape, classes):
    return Hungry(image_shape, classes)
"""
REFUSALS = {
    "cuda": "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB')",
    "driver": "raise RuntimeError('CUDA error: out of memory')",
    "cublas": "raise RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ...')",
    "host": "raise MemoryError",
    "kernel": "os.kill(os.getpid(), 9)",
    "fault": "os.kill(os.getpid(), 11)",
}


def hungry(directory, how, room):
    """A grid whose model is `hungry_HOW:model`, with room for so many processes."""
    directory.mkdir(exist_ok=True)
    (directory / f"hungry_{how}.py").write_text(HUNGRY.replace("ERROR", REFUSALS[how]))
    (directory / "room").write_text(str(room))
    return tiny(defaults=TINY["defaults"] | {"model": f"hungry_{how}:model"}, cells=TINY["cells"][:1])


def work(grid, members):
    (item, *_) = resolve(grid.cells)
    return [Job(item.cell, m) for m in range(members)], {item.cell.dataset_fingerprint: item.dataset}


def by_member(found):
    return Members.of(prediction for _, prediction in sorted(found, key=lambda each: each[0].member))
