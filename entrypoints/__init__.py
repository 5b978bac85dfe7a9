"""One file per entry point that trains. Importing any checks that this Python has what memreg needs."""

import os
import signal
import sys
from importlib.util import find_spec


def _interrupted(*_: object) -> None:
    """Ctrl-C or SIGTERM in the seconds that imports take, before `options.run` can answer."""
    print("interrupted before anything was begun", file=sys.stderr, flush=True)
    os._exit(130)


if missing := [name for name in ("mlflow", "torch", "click", "pydantic") if find_spec(name) is None]:
    print(
        f"memreg: error: {sys.executable} has no {missing[0]}: activate the environment that memreg is "
        "installed in (source .venv/bin/activate) and run this again, or run its own .venv/bin/memreg",
        file=sys.stderr,
    )
    sys.exit(2)

if sys.argv[0] == "-m":  # run as a program, by `python -m`, and not imported by one
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
