"""Download what is not there, whole or not at all."""

import contextlib
import http.client
import io
import socket
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from memreg.data.cache import locked
from memreg.errors import MemregError

_offline = ContextVar("offline", default=False)
PATIENCE = 30  # seconds without an answer until the network counts as absent


@contextlib.contextmanager
def without_downloads() -> Iterator[None]:
    """Within it what is not there stays away: `fetch` raises `MemregError` instead of using the network."""
    before = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(before)


def fetch(name: str, data_dir: Path, folder: str, how: str, download: Callable[[Path], None]) -> None:
    """Make data_dir/folder exist: `download(directory)` gets it, checked, as directory/folder.

    Two processes download once; a folder that exists is left alone, damaged or not. Raises
    `MemregError`, nothing written, when it fails; the message says `how` to get it by hand.
    """
    if (data_dir / folder).exists():
        return
    if _offline.get():
        raise MemregError(
            f"{name}: there is no {data_dir / folder}: name the directory that has {folder} with --data-dir "
            "or MEMREG_DATA_DIR"
        )
    try:
        with locked(data_dir):
            if not (data_dir / folder).exists():
                with tempfile.TemporaryDirectory(prefix=".memreg-", dir=data_dir) as part, _quiet():
                    download(Path(part))
                    (Path(part) / folder).rename(data_dir / folder)
    except (
        OSError,
        RuntimeError,
        EOFError,
        http.client.HTTPException,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise MemregError(
            f"{name}: there is no {data_dir / folder}, and downloading it failed ({why}): {how}, "
            f"or name the directory that has {folder} with --data-dir or MEMREG_DATA_DIR"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No waiting for ever, and no progress bar where no person sees it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.ExitStack() as stack:
            if not sys.stderr.isatty():
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            yield
    finally:
        socket.setdefaulttimeout(before)
