"""The Ray engine: members on the cluster that RAY_ADDRESS names, else on this machine's cores."""

import logging
import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from memreg.data.dataset import Dataset
from memreg.engines.groups import grouped
from memreg.engines.job import ALONE, Engine, ExhaustedError, Job
from memreg.engines.trainers import Share, Trainer, Trainers
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources

log = logging.getLogger(__name__)

SECONDS = 5  # Ray itself would go on trying for minutes
PATIENCE = 300.0  # seconds without a node that can run a member, before that is an error
LOOK = 10.0  # seconds after which nodes are counted anew, also where no member has finished


def connect(resources: Resources) -> Engine:
    """`run_ray`, connected to its cluster, which has a node that can run a member."""
    device = "cuda" if resources.gpus else "cpu"
    if resources.device not in ("auto", device):
        raise MemregError(
            f"device={resources.device} with engine=ray and gpus={resources.gpus:g}: a member trains on CUDA "
            "where it is given a share of a GPU (gpus=0.25), else on the CPU"
        )
    if not ray.is_initialized():
        _init(resources)
    if not any(_rooms(Share(resources.threads, resources.gpus))):
        needs = f"{resources.threads} CPUs" + (f" and {resources.gpus:g} GPUs" if resources.gpus else "")
        raise MemregError(f"no node of the Ray cluster has the {needs} that a member asks for")
    return Engine(partial(run_ray, resources=resources, device=device), device)


def run_ray(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], resources: Resources, device: str
) -> Iterator[tuple[Job, Prediction]]:
    """Predictions in the order in which members finish.

    A data set is put into Ray's object store once, which brings it to each node once, in memory that the
    node's trainers share. What a node that dies was training is trained again on another. Where memory runs
    out, training goes on with twice the share of a node for each member, so with half as many at once.
    """
    handles = {key: ray.put(_plain(dataset)) for key, dataset in datasets.items()}
    waiting = deque(grouped(jobs, datasets, device, resources.loader))
    deaths = Counter[Job]()
    share, most = Share(resources.threads, resources.gpus), resources.workers
    start = partial(ray.remote(Trainer).options, max_restarts=0)
    while True:
        actor = start(num_cpus=share.cpus, num_gpus=share.gpus)
        trainers = Trainers(partial(actor.remote, resources, device, Path.cwd()), deaths)
        try:
            seen = time.monotonic()
            while waiting or trainers.groups:
                if places := sum(_rooms(share)):
                    seen = time.monotonic()
                elif time.monotonic() - seen > PATIENCE:
                    raise MemregError(f"the Ray cluster has had no node to train on for {PATIENCE:.0f} s")
                trainers.grow(min(places, most or places, len(waiting) + len(trainers.groups)))
                trainers.give(waiting, handles)
                if len(trainers):
                    yield from trainers.finished(waiting, LOOK)
                else:
                    time.sleep(1)
            return
        except ExhaustedError as error:
            if len(trainers) == 1 or max(_rooms(share), default=0) <= 1:
                raise MemregError(f"{error}, {ALONE}") from None
            share, most = share.doubled, most and max(1, most // 2)
            log.warning("%s: training goes on with half as many members at once", error)
        finally:
            waiting.extendleft(reversed(trainers.end()))


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


def _rooms(share: Share) -> list[int]:
    """For how many trainers each node of the cluster, as it is now, has room."""
    return [share.places(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _plain(dataset: Dataset) -> Dataset:
    """Make arrays plain, so that a node's workers share them; Ray pickles the contents of memory maps."""
    values = {f.name: getattr(dataset, f.name) for f in fields(dataset)}
    plain: dict[str, Any] = {key: np.asarray(v) for key, v in values.items() if isinstance(v, np.ndarray)}
    return replace(dataset, **plain)
