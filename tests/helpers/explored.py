"""`memreg explore` as a person starts it: a process, and the link that it prints."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PROGRAM = "import sys; from memreg.cli import main; sys.argv[0] = 'memreg'; main()"


@contextmanager
def exploring(tracking_uri: str, *arguments: str) -> Iterator[str]:
    """The link, with its token, while the server runs."""
    command = [sys.executable, "-c", PROGRAM, "explore", *arguments, "--tracking-uri", tracking_uri]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        link = process.stdout.readline().strip()
        assert re.match(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", link), link
        yield link
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()
