"""One file per entry point that trains."""

import os
import signal
import sys

from memreg.environment import check


def _interrupted(*_: object) -> None:
    """Ctrl-C or SIGTERM in the seconds that imports take, before `options.run` can answer."""
    print("interrupted before anything was begun", file=sys.stderr, flush=True)
    os._exit(130)


check()

if sys.argv[0] == "-m":  # run as a program, by `python -m`, and not imported by one
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
