"""The name of a data set: `BASE[+option=value]...`, as `cifar10+subset=2000+noise=0.2+seed=3`.

Options are read from the end, by known keys only, so that a path in BASE may contain a plus sign.
The canonical name has them in the order of `Options`, without those that change nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from memreg.errors import MemregError

NoiseKind = Literal["symmetric", "pairwise"]


@dataclass(frozen=True)
class Options:
    """What is done to a base set, in this order. Defaults do nothing."""

    size: int = 0
    """Side in pixels to which every image is brought; 0 keeps images as they are."""
    classes: tuple[int, ...] = ()
    """Classes to keep, relabelled 0, 1, ... in this order; () keeps all."""
    subset: int = 0
    """Size of a stratified subset of the training examples; 0 keeps all."""
    planted: int = 0
    """Planted sub-populations of each size."""
    planted_sizes: tuple[int, ...] = (1, 2, 3, 5, 8, 15)
    """Training images in a planted sub-population, ascending."""
    noise: float = 0.0
    """Share of the training labels that are changed to another class."""
    noise_kind: NoiseKind = "symmetric"
    """`pairwise` changes class c to c + 1; `symmetric` to any other."""
    seed: int = 0
    """Of all the random choices above."""


_QUALIFIES = {
    "planted_sizes": ("planted",),
    "noise_kind": ("noise",),
    "seed": ("subset", "planted", "noise"),
}


def parse(name: str) -> tuple[str, Options]:
    """Base and options of a name.

    Raises `MemregError` for a value out of range, an option given twice, and one that qualifies an
    option not given. What BASE means is not looked at here.
    """
    base, given = name, dict[str, Any]()
    while match := re.fullmatch(r"(.+)\+([a-z_]+)=([^+]*)", base, re.DOTALL):
        rest, key, text = match.groups()
        if key not in _READERS:
            break
        if key in given:
            raise MemregError(f"data set {name}: {key} is given twice")
        read, right = _READERS[key]
        try:
            given[key] = read(text)
        except ValueError:
            raise MemregError(f"data set {name}: {key}={text} should be {right}") from None
        base = rest
    for key, options in _QUALIFIES.items():
        if key in given and not given.keys() & set(options):
            raise MemregError(f"data set {name}: {key} needs {' or '.join(options)} beside it")
    return base, Options(**given)


def canonical(base: str, options: Options) -> str:
    """The one name of this data set."""
    text = base
    for field in fields(Options):
        value = getattr(options, field.name)
        acts = any(getattr(options, key) for key in _QUALIFIES.get(field.name, (field.name,)))
        if acts and value != field.default:
            shown = ".".join(map(str, value)) if isinstance(value, tuple) else value
            text += f"+{field.name}={shown}"
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return read


def _whole_list(low: int) -> Callable[[str], tuple[int, ...]]:
    def read(text: str) -> tuple[int, ...]:
        return tuple(_whole(low, 10**9)(part) for part in text.split("."))

    return read


def _distinct(text: str) -> tuple[int, ...]:
    classes = _whole_list(0)(text)
    if len(set(classes)) < max(len(classes), 2):
        raise ValueError
    return classes


def _fraction(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return abs(value)


def _noise_kind(text: str) -> str:
    if text not in ("symmetric", "pairwise"):
        raise ValueError
    return text


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "size": (_whole(8, 1024), "a side in pixels from 8 to 1024, as 32"),
    "classes": (_distinct, "two or more different class numbers with dots between, as 0.3.5"),
    "subset": (_whole(1, 10**9), "a number of training examples, as 300"),
    "planted": (_whole(0, 1000), "a number of sub-populations of each size, as 4"),
    "planted_sizes": (
        lambda text: tuple(sorted(_whole_list(1)(text))),
        "sizes of sub-populations with dots between, as 1.2.3.5.8.15",
    ),
    "noise": (_fraction, "a fraction from 0 to 1, as 0.2"),
    "noise_kind": (_noise_kind, "symmetric or pairwise"),
    "seed": (_whole(0, 2**32 - 1), f"a whole number from 0 to {2**32 - 1}"),
}

OPTIONS = tuple(_READERS)
