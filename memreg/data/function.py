"""A user's own code: `package.module:function`, called without arguments."""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from memreg.data.arrays import checked, from_mapping
from memreg.data.dataset import Dataset
from memreg.errors import MemregError


def from_function(name: str) -> Dataset:
    """What the function returns: a `Dataset`, or a mapping for `memreg.data.arrays.from_mapping`.

    Imported with the current directory on the path. Nothing is cached: that is up to the function.
    """
    module_name, _, function_name = name.partition(":")
    with _current_directory_on_path():
        try:
            function = getattr(importlib.import_module(module_name), function_name)
        except (ImportError, AttributeError, SyntaxError) as error:
            where = f" at {error.filename}" if isinstance(error, SyntaxError) and error.filename else ""
            why = " ".join(str(error).split())
            raise MemregError(f"data set {name}: cannot be imported{where}: {why}") from error
        except MemregError:
            raise
        except (Exception, SystemExit) as error:  # whatever a user's module does when it is imported
            raise MemregError(
                f"data set {name}: cannot be imported, its module raised {type(error).__name__}: "
                f"{' '.join(str(error).split())}"
            ) from error
        try:
            result = function()
        except MemregError:
            raise
        except (Exception, SystemExit) as error:
            raise MemregError(
                f"data set {name}: raised {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
    if isinstance(result, Dataset):
        return checked(replace(result, name=name))
    if isinstance(result, Mapping):
        return from_mapping(name, result)
    raise MemregError(
        f"data set {name}: returned {type(result).__name__}: "
        f"it must return a memreg.data.Dataset or a mapping of arrays"
    )


@contextlib.contextmanager
def _current_directory_on_path() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
