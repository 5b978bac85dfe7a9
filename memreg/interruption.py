"""Ctrl-C and SIGTERM, answered once, never lost, and never in the middle of a database's work.

A handler raises wherever the interpreter happens to be. Inside SQLAlchemy that can leave behind a connection
that holds its lock, and whatever is then written is refused: there it waits for a moment. In a finalizer
Python drops the exception and goes on: whoever works through members asks again, by `check`.
"""

import signal
import sys
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DATABASE = "sqlalchemy"
MOMENT = 0.02  # seconds
_asked = False
_unraisable = sys.unraisablehook


def listen() -> None:
    """Let the first of either signal be a KeyboardInterrupt from now on; what is then put in order is not
    interrupted again."""
    global _asked
    _asked = False
    for number in (*SIGNALS, signal.SIGALRM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = _dropped


def check() -> None:
    """Raise the KeyboardInterrupt that was asked for, if there was one."""
    if _asked:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # put off, it would come again
        raise KeyboardInterrupt


def _interrupt(_: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if _inside(DATABASE, frame):
        signal.setitimer(signal.ITIMER_REAL, MOMENT)
    else:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        raise KeyboardInterrupt


def _inside(package: str, frame: FrameType | None) -> bool:
    while frame is not None:
        name: Any = frame.f_globals.get("__name__")
        if isinstance(name, str) and name.partition(".")[0] == package:
            return True
        frame = frame.f_back
    return False


def _dropped(what: "sys.UnraisableHookArgs") -> None:
    if not issubclass(what.exc_type, KeyboardInterrupt):
        _unraisable(what)
