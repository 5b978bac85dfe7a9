"""Whether this Python has what memreg needs: `mlflow run` calls whichever `python` comes first."""

import sys
from importlib.util import find_spec

NEEDED = ("mlflow", "torch", "click", "pydantic")


def check() -> None:
    """Exit with status 2 and a line that says what to do where a package is missing."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(
            f"memreg: error: {sys.executable} has no {missing[0]}: activate the environment that memreg is "
            "installed in (source .venv/bin/activate) and run this again, or run its own .venv/bin/memreg",
            file=sys.stderr,
        )
        sys.exit(2)
