"""The process that workers are forked from: it imports torch once for all of them."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from types import ModuleType

context = multiprocessing.get_context("forkserver")


def begin() -> None:
    """Start it, without waiting for its imports. Ctrl-C means nothing to it: the driver ends it."""
    context.set_forkserver_preload(["memreg.engines.worker"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def ready() -> None:
    """Wait until the server forks. If the driver is interrupted meanwhile, nothing was forked yet."""
    with without_main():
        process = context.Process(target=abs, args=(0,))
        process.start()
    process.join()


@contextmanager
def without_main() -> Iterator[None]:
    """Processes started meanwhile do not import the program's main module.

    Workers need nothing of it, its imports cost each of them seconds, and a script without the
    customary guard would run itself again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
