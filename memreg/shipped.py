"""YAML files that come with memreg, by name, and a user's own, by path."""

from importlib import resources
from pathlib import Path

from memreg.careful_yaml import load
from memreg.errors import MemregError


def names(folder: str) -> list[str]:
    """Of the files that come with memreg in this folder of the package."""
    files = (resources.files("memreg") / folder).iterdir()
    return sorted(Path(f.name).stem for f in files if f.name.endswith(".yaml"))


def read(kind: str, name: str, folder: str) -> object:
    """The content of the shipped file of that name, or of the .yaml file at that path. `kind` is what
    messages call it."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if name not in names(folder):
            known = ", ".join(names(folder))
            raise MemregError(f"unknown {kind} '{name}': one of {known}, or the path of a .yaml file")
        text = (resources.files("memreg") / folder / f"{name}.yaml").read_text()
    else:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MemregError(f"{kind} {path} cannot be read: {error}") from error
    return load(text, f"{kind} {name}")
