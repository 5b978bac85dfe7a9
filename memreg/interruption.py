"""Ctrl-C and SIGTERM, answered once and never lost.

A handler raises wherever the interpreter happens to be. In a finalizer, and SQLAlchemy has many, Python drops
the exception and goes on: whoever works through members asks again, by `check`.
"""

import signal
import sys
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_asked = False
_unraisable = sys.unraisablehook


def listen() -> None:
    """From now on the first of either signal is a KeyboardInterrupt; what is then put in order is not
    interrupted again."""
    global _asked
    _asked = False
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    sys.unraisablehook = _dropped


def check() -> None:
    """Raise the KeyboardInterrupt that was asked for, if there was one."""
    if _asked:
        raise KeyboardInterrupt


def _interrupt(*_: object) -> NoReturn:
    global _asked
    _asked = True
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _dropped(what: "sys.UnraisableHookArgs") -> None:
    if not issubclass(what.exc_type, KeyboardInterrupt):
        _unraisable(what)
