"""YAML files that come with memreg, by name, and a user's own, by path."""

from importlib import resources
from pathlib import Path

from memreg.careful_yaml import load
from memreg.errors import MemregError
from memreg.parameters import did_you_mean
from memreg.user_code import called, is_code


def names(folder: str) -> list[str]:
    """List the files that come with memreg in this folder of the package."""
    files = (resources.files("memreg") / folder).iterdir()
    return sorted(Path(f.name).stem for f in files if f.name.endswith(".yaml"))


def read(kind: str, name: str, folder: str) -> object:
    """The content of the shipped file of that name, of the .yaml file at that path, or what a user's
    `package.module:function` returns. `kind` is what messages call it."""
    if is_code(name):
        return called(kind, name)
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in names(folder):
            more = f"{_listed(folder)}, the path of a .yaml file, or package.module:function"
            hint = did_you_mean(name, names(folder), "")
            raise MemregError(f"unknown {kind} '{name}': " + f"{hint} choose {more}".strip())
        text = (resources.files("memreg") / folder / f"{name}.yaml").read_text()
    else:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MemregError(
                f"{kind} {path} cannot be read: {error}; memreg's own are {_listed(folder)}"
            ) from error
    return load(text, f"{kind} {name}")


def _listed(folder: str) -> str:
    return ", ".join(names(folder))
