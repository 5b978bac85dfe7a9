"""How a run came about: the command and the versions, as tags."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from platform import python_version

from memreg.registry.connection import masked

PACKAGES = ("memreg", "torch", "torchvision", "timm", "numpy", "pandas", "scipy", "optuna", "mlflow")


def provenance() -> dict[str, str]:
    """`memreg.command` (where an entry point runs), without credentials, and `memreg.versions`."""
    command = project_command(sys.argv)
    return {"memreg.versions": _versions()} | ({"memreg.command": command} if command else {})


def project_command(argv: Sequence[str]) -> str:
    """The `memreg` command that does what this program was called for, without the options that `mlflow run`
    left empty; "" for any other program. Passwords are masked."""
    program, *words = argv
    path = Path(program)
    if path.parent.name in ("entrypoints", "analysis"):
        words = [path.stem, *words]
    elif path.stem != "memreg":
        return ""
    split = [w for word in words for w in (word.split("=", 1) if word.startswith("--") else [word])]
    kept = [word for word, following in pairwise([*split, " "]) if word and following]
    return shlex.join(["memreg", *map(masked, kept)])


def _versions() -> str:
    found = [f"Python {python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
