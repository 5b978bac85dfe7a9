"""A model tried in a process of its own, so that one that crashes takes no study with it."""

import os
import signal
import sys
from pathlib import Path

from memreg.engines import server
from memreg.errors import MemregError
from memreg.models.layouts import TIMM
from memreg.models.trial import memory_format
from memreg.user_code import is_code

REFUSED = 3


def try_model(name: str, image_shape: tuple[int, int, int], classes: int) -> None:
    """Raise `MemregError` where a step of training with this model fails, or kills its process."""
    if not name.startswith(TIMM) and not is_code(name):
        return
    with server.without_main():
        process = server.context.Process(target=_try, args=(name, image_shape, classes, str(Path.cwd())))
        process.start()
    process.join()
    if (code := process.exitcode or 0) < 0:
        raise MemregError(
            f"{name} crashes on {'x'.join(map(str, image_shape))} images: a step of training was killed by "
            f"{signal.Signals(-code).name}"
        )
    if code:
        memory_format(name, image_shape, classes)  # says why


def _try(name: str, image_shape: tuple[int, int, int], classes: int, directory: str) -> None:
    os.chdir(directory)
    try:
        memory_format(name, image_shape, classes)
    except Exception:  # who started this tries it too, and says why
        sys.exit(REFUSED)
