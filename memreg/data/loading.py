"""From a data set's name to its arrays."""

from pathlib import Path

from memreg.data.dataset import Dataset
from memreg.data.derived import derive
from memreg.data.digits import digits
from memreg.data.name import OPTIONS, parse
from memreg.errors import MemregError


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set of this name (grammar: `memreg.data.name`).

    Raises `MemregError` for a name that means nothing, a value out of range, and data that is
    missing or damaged.
    """
    base, options = parse(name)
    if base == "digits":
        return derive(digits(), options)
    first, plus, rest = base.partition("+")
    if plus and first == "digits":
        raise MemregError(f"data set {name}: no option {rest}; there are {', '.join(OPTIONS)}")
    raise MemregError(f"unknown data set {base}: there is digits")
