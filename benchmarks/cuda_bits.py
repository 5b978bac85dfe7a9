"""Whether a network has the same bits however it is trained: what cuda.py compares."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from cuda_loops import images_of, members_of, wait
from torch import nn

from memreg import random
from memreg.together import STACK, Places, Room
from memreg.training import (
    AUGMENTATION,
    INITIALISATION,
    ORDER,
    Steps,
    augmentation_of,
    batch_order,
    deterministic,
    fit,
    new_model,
    stream,
)

if TYPE_CHECKING:
    from cuda_criteria import Bench

STEPS = 10
"""After which networks are compared."""


def digest(network: nn.Module) -> str:
    """Of weights and buffers."""
    state = [tensor.detach().cpu().contiguous() for tensor in (*network.parameters(), *network.buffers())]
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state)).hexdigest()


def member_digests(bench: "Bench", places: Places, order: list[int] | None = None, n: int = 4) -> list[str]:
    """Of the first `n` members after a few steps, trained in this order."""
    task = bench.tasks["small" if places.networks > 1 else "vgg6"]
    dataset = images_of(task, 400)
    order = order or list(range(n))
    members, at_once, found = members_of(dataset, max(order) + 1), places.most * places.networks, {}
    room = Room(task.recipe, dataset, STEPS, bench.device, places)
    for i in range(0, len(order), at_once):
        beside = order[i : i + at_once]
        with deterministic():
            advance = room.begin([members[m] for m in beside])
            for _ in range(STEPS):
                advance()
        if bench.device.type == "cuda" and not room.how.startswith("captured"):
            raise RuntimeError(f"steps were not recorded, but {room.how}")
        if places.fused and "fused" not in room.how:
            raise RuntimeError(f"steps were not fused, but {room.how}")
        for m, network in zip(beside, room.networks(len(beside)), strict=True):
            wait(bench.device)
            found[m] = digest(network)
    return [found[m] for m in range(n)]


def eager_digest(bench: "Bench") -> str:
    """Of member 0, as a member alone is trained."""
    task = bench.tasks["vgg6"]
    dataset, recipe = images_of(task, 400), task.recipe
    [(included, seed)] = members_of(dataset, 1)
    with deterministic():
        torch.manual_seed(random.seed(seed, INITIALISATION))
        network = new_model(recipe, dataset, bench.device)
        rows = torch.from_numpy(np.flatnonzero(included))
        order = batch_order(rows, STEPS, recipe.batch_size, stream(seed, ORDER))
        draws = augmentation_of(recipe, dataset, order.numel(), stream(seed, AUGMENTATION))
        fit(network, recipe, dataset, Steps(order, draws), {})
    return digest(network)


def bits(bench: "Bench") -> None:
    print(f"\nbits of weights and buffers after {STEPS} steps")
    alone, four = member_digests(bench, Places(1)), member_digests(bench, Places(4))
    k = 4 if bench.dry else STACK
    stack = member_digests(bench, Places(1, k))
    fused = member_digests(bench, Places(1, fused=True))
    script = str(Path(__file__).with_name("cuda.py"))
    other = subprocess.run(
        [sys.executable, script, "--digest", *(["--dry-run"] if bench.dry else [])],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    held = hold(bench)
    crowded = member_digests(bench, Places(1))
    del held
    checks = {
        "a member twice": alone == member_digests(bench, Places(1)),
        "in two processes": [alone[0], fused[0]] == other,
        "alone and beside three": alone == four,
        "captured and eager": alone[0] == eager_digest(bench),
        "with 90 % of the memory held": alone == crowded,
        "fused, alone and beside three": fused == member_digests(bench, Places(4, fused=True)),
        "a stack twice": stack == member_digests(bench, Places(1, k)),
        "a stack permuted": stack == member_digests(bench, Places(1, k), order=[3, 1, 0, 2]),
        "a stack with others": stack == member_digests(bench, Places(1, k), order=[5, 0, 1, 4, 2, 3]),
    }
    for what, equal in checks.items():
        print(f"  equal, {what}: {'pass' if equal else 'FAIL'}")
        bench.failed += [] if equal else [f"equal bits, {what}"]


def hold(bench: "Bench") -> torch.Tensor | None:
    """90 % of the card's free memory."""
    if bench.device.type != "cuda":
        return None
    torch.cuda.empty_cache()
    return torch.empty(int(0.9 * torch.cuda.mem_get_info()[0]), dtype=torch.uint8, device=bench.device)
