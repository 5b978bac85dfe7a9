"""Data sets are loaded by name."""

import os
import re
from pathlib import Path

from memreg.data.cache import cached
from memreg.data.cifar import cifar
from memreg.data.dataset import Dataset
from memreg.data.derived import derive
from memreg.data.digits import digits
from memreg.data.folder import folder
from memreg.data.function import from_function
from memreg.data.mnist import mnist
from memreg.data.name import OPTIONS, canonical, parse
from memreg.data.npz import npz
from memreg.data.tiny_imagenet import tiny_imagenet
from memreg.errors import MemregError

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
    check_base(base)
    directory = data_dir or Path(os.environ.get("MEMREG_DATA_DIR") or "data")
    try:
        return derive(_base(base, directory.expanduser(), verify), options)
    except OSError as error:
        raise MemregError(f"data set {name}: {error.strerror or error}") from error


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


def check_base(base: str) -> None:
    """Raise `MemregError`, with what there is, for a base that is no data set's; nothing is opened."""
    if base in NAMED or re.fullmatch("(folder|npz):.+", base, re.DOTALL) or FUNCTION.fullmatch(base):
        return
    if "+" in base and base.partition("+")[0] in NAMED:
        option = base.rpartition("+")[2]
        raise MemregError(f"data set {base}: no option {option}: there are {', '.join(OPTIONS)}")
    raise MemregError(
        f"unknown data set {base!r}: choose {', '.join(NAMED)}, folder:PATH, npz:PATH "
        "or package.module:function"
    )


def _base(base: str, data_dir: Path, verify: bool) -> Dataset:
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
            return cached(folder(Path(path)), verify)
        case "npz", ":", path if path:
            return cached(npz(Path(path)), verify)
    if FUNCTION.fullmatch(base):
        return from_function(base)
    raise AssertionError(f"{base} is checked")
