"""Which machine this is, and which of its processes live."""

import os
import socket
from pathlib import Path


def machine() -> str:
    """Name the place in which process ids mean the same: this host, and this namespace of them."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {namespace}"


def exists(pid: int) -> bool:
    """Whether a process of this machine lives, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
