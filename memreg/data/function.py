"""A user's own data set: what `package.module:function`, called without arguments, returns."""

from collections.abc import Mapping
from dataclasses import replace

from memreg import user_code
from memreg.data.arrays import checked, from_mapping
from memreg.data.dataset import Dataset
from memreg.errors import MemregError


def from_function(name: str) -> Dataset:
    """What the function returns: a `Dataset`, or a mapping for `memreg.data.arrays.from_mapping`.

    Nothing is cached: that is up to the function.
    """
    result = user_code.called("data set", name)
    if isinstance(result, Dataset):
        return checked(replace(result, name=name))
    if isinstance(result, Mapping):
        return from_mapping(name, result)
    raise MemregError(
        f"data set {name}: returned {type(result).__name__}: "
        f"it must return a memreg.data.Dataset or a mapping of arrays"
    )
