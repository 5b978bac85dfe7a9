"""A driver whose `mlflow run` is gone, which nobody watches any more."""

import os
import re
import signal
import subprocess
import sys
import threading

from memreg.processes import exists

SECONDS = 1.0
MLFLOW_RUN = re.compile(r"(^|[/ ])mlflow(\.cli)? run\b")
GENERATIONS = 3  # between a driver and its `mlflow run` there may be a shell


def watch() -> None:
    """Answer the death of the `mlflow run` that began this process like SIGTERM: what is trained is stored.

    A process that was begun in another way is not watched, so that nohup and schedulers work as ever.
    """
    if os.environ.get("MLFLOW_RUN_ID") and (line := _up_to_mlflow()):
        threading.Thread(target=_watch, args=(line,), daemon=True).start()


def _watch(line: list[int]) -> None:
    parent, stop = os.getppid(), threading.Event()
    while parent == line[0] and all(map(exists, line)):
        stop.wait(SECONDS)
        parent = os.getppid()
    print("memreg: warning: `mlflow run` is gone: this process ends too", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _up_to_mlflow() -> list[int]:
    """The parent, its parent and so on, up to the process of `mlflow run`; [] where there is none."""
    line, pid = list[int](), os.getppid()
    for _ in range(GENERATIONS):
        try:
            said = subprocess.check_output(["ps", "-ww", "-o", "ppid=,args=", "-p", str(pid)], text=True)
            ppid, _, arguments = said.strip().partition(" ")
        except (OSError, subprocess.CalledProcessError):
            return []
        line.append(pid)
        if MLFLOW_RUN.search(arguments):
            return line
        pid = int(ppid)
    return []
