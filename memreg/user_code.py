"""A user's own code by its name: `package.module:function`, found in the working directory.

It runs because the user named it, on the command line or in a grid of theirs, and never because a registry
does.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard, cast

from memreg.errors import MemregError
from memreg.sources import sources

CODE = re.compile(r"(?!folder:|npz:|timm:|top:|random:|stratified:)[A-Za-z_][\w.]*:[A-Za-z_]\w*")
HASH = re.compile(r"[0-9a-f]{6,64}")


def is_code(name: object) -> TypeGuard[str]:
    """Whether this is the name of code, and not of a thing of memreg's or of a cell's estimator."""
    if not isinstance(name, str) or not CODE.fullmatch(name):
        return False
    return not HASH.fullmatch(name.partition(":")[0])


def function(what: str, name: str) -> Callable[..., Any]:
    """The function of this name; what: the thing that it is, for messages.

    Raises `MemregError` where it cannot be imported, whatever its module does, and where it cannot be called.
    """
    module, _, attribute = name.partition(":")
    with _working_directory_on_path():
        _forget_namesake(module)
        try:
            found = getattr(importlib.import_module(module), attribute)
        except MemregError:
            raise
        except (ImportError, AttributeError, SyntaxError) as error:
            where = ""
            if isinstance(error, SyntaxError) and error.filename:
                where = f" at {error.filename}"
            raise MemregError(f"{what} {name}: cannot be imported{where}: {_line(error)}") from error
        except (Exception, SystemExit) as error:  # whatever a user's module does when it is imported
            raise MemregError(
                f"{what} {name}: cannot be imported, its module raised {type(error).__name__}: {_line(error)}"
            ) from error
    if not callable(found):
        raise MemregError(f"{what} {name}: is {type(found).__name__}, and not a function")
    return cast(Callable[..., Any], found)


def check_module(what: str, name: str) -> None:
    """Raise `MemregError` where there is no such package or module, without running any of it."""
    package = name.partition(":")[0].partition(".")[0]
    with _working_directory_on_path():
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            raise MemregError(f"{what} {name}: cannot be imported: No module named '{package}'")


def called(what: str, name: str, *arguments: object) -> Any:
    """What the function of this name returns. Raises `MemregError` where it raises anything."""
    made = function(what, name)
    with _working_directory_on_path():
        try:
            return made(*arguments)
        except MemregError:
            raise
        except (Exception, SystemExit) as error:
            raise MemregError(f"{what} {name}: raised {type(error).__name__}: {_line(error)}") from error


def digest(what: str, name: str) -> str:
    """SHA-256, in hexadecimal, of the file of the module that is named; where it imports other files of the
    user's (`sources`), of their digests and its own together."""
    function(what, name)
    module = name.partition(":")[0]
    path = sys.modules[module].__file__ or ""
    if not path.endswith(".py"):
        raise MemregError(f"{what} {name}: has no source file, by which a cell would know it again")
    with _working_directory_on_path():
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sources(module, Path(path))]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _forget_namesake(module: str) -> None:
    """A module that was imported before, from another directory, is not the one that is named now."""
    here = Path.cwd().joinpath(*module.split(".")).with_suffix(".py")
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded and here.is_file() and not here.samefile(loaded):
        del sys.modules[module]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextlib.contextmanager
def _working_directory_on_path() -> Iterator[None]:
    """No bytecode is kept of what is imported: Python takes that of a file that was edited within a second to
    the same size for its own."""
    here, writes_none = str(Path.cwd()), sys.dont_write_bytecode
    sys.path.insert(0, here)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_none
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
