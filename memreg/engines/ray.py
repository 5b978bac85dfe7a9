"""The Ray engine: members as tasks on the cluster that RAY_ADDRESS names, else on this machine's cores."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from memreg.data.dataset import Dataset
from memreg.engines.job import AHEAD, ATTEMPTS, Engine, Job, resolve_device, resolve_loader
from memreg.engines.worker import run_job
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources

SECONDS = 5  # Ray itself would go on trying for minutes
PATIENCE = 300.0  # seconds without a node that can run a member, before that is an error


def connect(resources: Resources) -> Engine:
    """`run_ray`, connected to its cluster, which has a node that can run a member."""
    if resources.device not in ("auto", "cuda" if resources.gpus else "cpu"):
        raise MemregError(
            f"device={resources.device} with engine=ray and gpus={resources.gpus:g}: a member trains on CUDA "
            "where it is given a share of a GPU (gpus=0.25), else on the CPU"
        )
    if not ray.is_initialized():
        _init(resources)
    if _places(resources) == 0:
        needs = f"{resources.threads} CPUs" + (f" and {resources.gpus:g} GPUs" if resources.gpus else "")
        raise MemregError(f"no node of the Ray cluster has the {needs} that a member asks for")
    return Engine(partial(run_ray, resources=resources), "cuda" if resources.gpus else "cpu")


def run_ray(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], resources: Resources
) -> Iterator[tuple[Job, Prediction]]:
    """Predictions in the order in which members finish.

    A data set is put into Ray's object store once, which brings it to each node once, in memory that the
    node's workers share. What a node that dies was training is trained again on another. Members in training
    when the iteration is given up end with the driver's process. They are not cancelled: `ray.cancel` aborts
    the driver where a task finishes at that moment (Ray 2.60: "Tried to complete task that was not pending").
    """
    handles = {key: ray.put(_plain(dataset)) for key, dataset in datasets.items()}
    remote = ray.remote(
        num_cpus=resources.threads,
        num_gpus=resources.gpus,
        max_retries=ATTEMPTS - 1,
        max_calls=0,  # keep the process, its torch and its data sets, also where it holds a GPU
    )
    task = remote(_train)
    device = "cuda" if resources.gpus else "cpu"
    here = Path.cwd()
    waiting = iter(jobs)
    running: dict[Any, Job] = {}
    seen = time.monotonic()
    while True:
        if places := _places(resources):
            seen = time.monotonic()
        elif time.monotonic() - seen > PATIENCE:
            raise MemregError(f"the Ray cluster has had no node to train on for {PATIENCE:.0f} s")
        bound = min(AHEAD * places, resources.workers or AHEAD * places)
        for job in islice(waiting, max(0, bound - len(running))):
            handle = handles[job.cell.dataset_fingerprint]
            ref = task.remote(job, [handle], device, resources, here)
            running[ref] = job
        if not running:
            if places:
                return
            time.sleep(1)
            continue
        for ref in ray.wait(list(running), timeout=10)[0]:
            prediction = _get(ref, running[ref])
            yield running.pop(ref), prediction


def _train(job: Job, dataset: list[Any], device: str, resources: Resources, here: Path) -> Prediction:
    """Train a member on a node; here: the driver's directory, which has the user's code."""
    torch.set_num_threads(resources.threads)
    if here.is_dir():
        os.chdir(here)
    return run_job(job, _opened(dataset[0]), resolve_device(device), resolve_loader(resources.loader))


@cache
def _opened(handle: Any) -> Dataset:
    """A worker's view of the node's copy."""
    dataset: Dataset = ray.get(handle)
    return dataset


def _get(ref: Any, job: Job) -> Prediction:
    member = f"member {job.member} of {job.cell.recipe.model} on {job.cell.dataset}"
    try:
        prediction: Prediction = ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, MemregError):
            raise MemregError(str(error.cause)) from None
        raise
    except OutOfMemoryError:
        raise MemregError(f"a node ran out of memory while {member} was trained: try fewer workers") from None
    except RayError as error:
        raise MemregError(
            f"a worker or its node died {ATTEMPTS} times while {member} was trained "
            f"({type(error).__name__}): see Ray's logs on that node for the cause"
        ) from None
    return prediction


def _init(resources: Resources) -> None:
    """Connect; the code of memreg goes along, so that every node runs the driver's."""
    address = os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    main = threading.current_thread() is threading.main_thread()
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        if address is None:
            cpus = resources.processes * resources.threads
            ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            _reach(address)
            code = {"py_modules": [str(Path(__file__).parents[1])]}
            ray.init(address, runtime_env=code, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        named = f"the Ray cluster of RAY_ADDRESS={address}" if address else "a Ray cluster of this machine"
        raise MemregError(f"{named} does not answer: {str(error).splitlines()[0]}") from error
    finally:
        if main:  # Ray has put its own in place of SIGTERM's
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _reach(address: str) -> None:
    if address.startswith("ray://"):
        raise ValueError("the driver runs on one of its nodes (`ray job submit`), not through Ray Client")
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), SECONDS).close()


def _places(resources: Resources) -> int:
    """Members that the cluster, as it is now, can train at once."""
    found = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        room = has.get("CPU", 0) // resources.threads
        if resources.gpus:
            room = min(room, has.get("GPU", 0) // resources.gpus)
        found += int(room)
    return found


def _plain(dataset: Dataset) -> Dataset:
    """Make arrays plain, so that a node's workers share them; Ray pickles the contents of memory maps."""
    values = {f.name: getattr(dataset, f.name) for f in fields(dataset)}
    plain: dict[str, Any] = {key: np.asarray(v) for key, v in values.items() if isinstance(v, np.ndarray)}
    return replace(dataset, **plain)
