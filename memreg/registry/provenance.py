"""How a run came about: the command and the versions, as tags."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from memreg.registry.connection import masked

PACKAGES = ("memreg", "torch", "torchvision", "timm", "numpy", "pandas", "scipy", "optuna", "mlflow")


def provenance() -> dict[str, str]:
    """`memreg.command` (where an entry point runs), without credentials, and `memreg.versions`."""
    command = project_command(sys.argv)
    return {"memreg.versions": _versions()} | ({"memreg.command": command} if command else {})


def project_command(argv: Sequence[str]) -> str:
    """`mlflow run` for what an entry point was called with, options that were left empty left out; "" for any
    other program."""
    program, *words = argv
    path = Path(program)
    if path.parent.name not in ("entrypoints", "analysis"):
        return ""
    joined = [w for word in words for w in (word.split("=", 1) if word.startswith("--") else [word])]
    given = zip(joined[::2], joined[1::2], strict=False)
    named = [f"{key[2:].replace('-', '_')}={masked(value)}" for key, value in given if value]
    return " ".join(["mlflow run .", f"-e {path.stem}", *(f"-P {shlex.quote(text)}" for text in named)])


def _versions() -> str:
    found = [f"Python {python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
