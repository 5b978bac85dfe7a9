"""Who is at work on a cell.

A driver claims a cell by the tag `memreg.lease` of the cell's run, and gives it back when it is finished.
That it lives it says once for all its cells, by the tags `memreg.driver` and `memreg.heartbeat` of its own
run: its study's, or where another driver is at work on that study, one beside it. A lease counts for nothing
once that run has ended or has another driver, its process is gone from this machine, or its heart has been
silent for EXPIRY seconds, clocks being right to well within that.

MLflow cannot compare and set. On a database one driver at a time claims cells (`connection.exclusive`); over
HTTP, where nothing is exclusive, a claim must have stood for SETTLE seconds.
"""

import json
import os
import threading
import time
import uuid
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException

from memreg.errors import TakenError
from memreg.processes import exists, machine

LEASE, DRIVER, HEARTBEAT = "memreg.lease", "memreg.driver", "memreg.heartbeat"
BEAT, EXPIRY, SETTLE = 15.0, 300.0, 2.0
"""Seconds. MLflow's own retries may keep a heart silent for four minutes while a server is down."""


class Leases:
    """The cells that this driver is at work on, as a context manager around its work."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        """run_id: of the driver's own run."""
        self._client = client
        self._own = run_id
        self._held: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._value = json.dumps(
            {
                "token": uuid.uuid4().hex,
                "study": run_id,
                "machine": machine(),
                "pid": os.getpid(),
                "since": datetime.now().astimezone().isoformat(" ", "seconds"),
            }
        )

    def drive(self) -> None:
        """Say that this driver is at work in its own run."""
        self._client.set_tag(self._own, HEARTBEAT, str(time.time()))
        self._client.set_tag(self._own, DRIVER, self._value)

    def drives(self) -> bool:
        """Whether no other driver has said so since."""
        return bool(self._client.get_run(self._own).data.tags.get(DRIVER) == self._value)

    def __enter__(self) -> Self:
        self.drive()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._stop.set()
        self._thread.join(BEAT)
        with suppress(MlflowException):
            for run_id in [*self._held]:
                if error is not None:
                    self._end(run_id, error)
                self.release(run_id)
            self._client.delete_tag(self._own, HEARTBEAT)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._held

    def claim(self, run_id: str) -> None:
        """Take a cell on which `at_work` finds nobody, unless another takes it at this very moment."""
        try:
            self._client.set_tag(run_id, LEASE, self._value)
        except MlflowException:  # over HTTP, of two who create the tag together one fails
            if LEASE not in self._client.get_run(run_id).data.tags:
                raise
        else:
            self._held.add(run_id)

    def settled(self, run: Run) -> bool:
        """Whether a claim stands; if not, it is forgotten."""
        if run.data.tags.get(LEASE) != self._value:
            self._held.discard(run.info.run_id)
        return run.info.run_id in self

    def check(self, run_id: str) -> None:
        """Raise `TakenError` if another has taken over, thinking this driver dead."""
        run = self._client.get_run(run_id)
        if not self.settled(run):
            who = self.at_work(run) or "another driver, which has ended since,"
            raise TakenError(
                f"{who} has taken over cell {run.data.tags['memreg.cell'][:12]}, as nothing was heard from "
                f"this driver for {EXPIRY:.0f} s: what it stored is kept; run the same command again to go on"
            )

    def _end(self, run_id: str, error: BaseException) -> None:
        """Leave no run of ours running, at whatever moment we were stopped."""
        run = self._client.get_run(run_id)
        if self.settled(run) and run.info.status == "RUNNING":
            self._client.set_terminated(run_id, end_status(error))

    def release(self, run_id: str) -> None:
        """Give a cell back."""
        if self.settled(self._client.get_run(run_id)):
            self._client.delete_tag(run_id, LEASE)
            self._held.discard(run_id)

    def at_work(self, run: Run) -> str | None:
        """The other driver that is at work on a cell, in words."""
        text = run.data.tags.get(LEASE)
        if text is None or text == self._value:
            return None
        lease = json.loads(text)
        try:
            study = self._client.get_run(lease["study"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        if not _alive(lease, study):
            return None
        return (
            f"{study.data.tags.get('mlflow.user', 'somebody')} (study {study.data.tags.get('memreg.study')}, "
            f"process {lease['pid']} on {lease['machine'].split()[0]}, since {lease['since']})"
        )

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(MlflowException):  # the server may be back for the next one
                self._client.set_tag(self._own, HEARTBEAT, str(time.time()))


def end_status(error: BaseException) -> str:
    """KILLED for Ctrl-C and SIGTERM, FAILED for everything else."""
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"


def driven(run: Run) -> bool:
    """Whether a driver is at work in a study's run."""
    text = run.data.tags.get(DRIVER)
    return _alive(json.loads(text) if text else {}, run)


def _alive(lease: dict[str, Any], run: Run) -> bool:
    """run: of the driver that has the lease."""
    if run.info.status != "RUNNING" or run.info.lifecycle_stage != "active":
        return False
    driver = run.data.tags.get(DRIVER)
    if driver is not None and json.loads(driver)["token"] != lease.get("token"):
        return False
    if lease.get("machine") == machine() and not exists(lease["pid"]):
        return False
    return time.time() - float(run.data.tags.get(HEARTBEAT, 0)) < EXPIRY
