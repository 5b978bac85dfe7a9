"""Data sets are loaded by name."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from memreg.data.cache import cached
from memreg.data.cifar import cifar
from memreg.data.dataset import Dataset
from memreg.data.derived import derive
from memreg.data.digits import digits
from memreg.data.folder import folder, parts
from memreg.data.function import from_function
from memreg.data.mnist import mnist
from memreg.data.name import OPTIONS, canonical, parse
from memreg.data.npz import archive, npz
from memreg.data.source import expanded
from memreg.data.tiny_imagenet import tiny_imagenet
from memreg.errors import MemregError
from memreg.parameters import did_you_mean
from memreg.user_code import check_module

FUNCTION = re.compile(r"(?!folder:|npz:)[\w.]+:\w+")
NAMED = ("digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "tiny_imagenet")


def load(name: str, data_dir: Path | None = None, verify: bool = False) -> Dataset:
    """The data set of this name (grammar: `memreg.data.name`).

    Files of the named sets are looked for in `data_dir`, else in $MEMREG_DATA_DIR, else in ./data,
    and downloaded when not there. With `verify`, what was decoded earlier is compared with its digests: a
    study does so before it trains. Raises `MemregError` for a name that means nothing, a value out of range,
    and data that is missing or damaged.
    """
    base, options = parse(name)
    _check_base(base)
    directory = data_dir or Path(os.environ.get("MEMREG_DATA_DIR") or "data")
    with _readable(name):
        return derive(_base(base, expanded(directory), verify, options.size), options)


def load_stored(
    name: str, data_dir: Path | None = None, named: str | None = None, verify: bool = False
) -> Dataset:
    """The data set of a name that a registry gives, canonical.

    `package.module:function` is code, and runs only if the user names it too: else `MemregError`.
    """
    if named is not None and canonical(*parse(named)) != name:
        raise MemregError(f"dataset={named}: the cell's data set is {name}")
    if named is None and FUNCTION.fullmatch(parse(name)[0]):
        raise MemregError(
            f"data set {name} is code, which never runs because a registry says so: if you know it, name it "
            f"yourself, by dataset={name}"
        )
    return load(name, data_dir, verify)


def check(name: str) -> None:
    """Raise `MemregError` where there is no data set of this name, no folder, file or module. Nothing is
    read."""
    base = parse(name)[0]
    _check_base(base)
    kind, _, path = base.partition(":")
    with _readable(name):
        if kind == "folder":
            parts(Path(path))
        elif kind == "npz":
            archive(Path(path))
        elif FUNCTION.fullmatch(base):
            check_module("data set", base)


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MemregError(f"data set {name}: {error.strerror or error}") from error


def _check_base(base: str) -> None:
    """Raise `MemregError`, with what there is, for a base that is no data set's."""
    if base in NAMED or re.fullmatch("(folder|npz):.+", base, re.DOTALL) or FUNCTION.fullmatch(base):
        return
    if "+" in base and base.partition("+")[0] in NAMED:
        option = base.rpartition("+")[2]
        raise MemregError(f"data set {base}: no option {option}: there are {', '.join(OPTIONS)}")
    listing = f"choose {', '.join(NAMED)}, folder:PATH, npz:PATH or package.module:function"
    hint = f"{did_you_mean(base, NAMED, '')} {listing}".strip()
    raise MemregError(f"unknown data set {base!r}: {hint}")


def _base(base: str, data_dir: Path, verify: bool, size: int) -> Dataset:
    """size: to which a folder's images, which may have several, are brought; 0 for none."""
    match base.partition(":"):
        case "digits", "", "":
            return digits()
        case "cifar10" | "cifar100", "", "":
            return cached(cifar(base, data_dir), verify)
        case "mnist" | "fashion_mnist", "", "":
            return cached(mnist(base, data_dir), verify)
        case "tiny_imagenet", "", "":
            return cached(tiny_imagenet(data_dir), verify)
        case "folder", ":", path if path:
            return cached(folder(Path(path), size), verify)
        case "npz", ":", path if path:
            return cached(npz(Path(path)), verify)
    if FUNCTION.fullmatch(base):
        return from_function(base)
    raise AssertionError(f"{base} is checked")
