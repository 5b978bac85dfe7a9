"""The worker's side of the local engine. Imported, with torch, before workers are forked."""

import multiprocessing
import os
import platform
import signal
import threading
from dataclasses import replace
from functools import cache
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import torch

from memreg.data.dataset import Dataset
from memreg.data.sharing import open_shared
from memreg.engines.groups import setting_of
from memreg.engines.job import ExhaustedError, Group, Job
from memreg.errors import MemregError
from memreg.exhaustion import out_of_memory
from memreg.members import Prediction
from memreg.together import at_once, let_go, train_together
from memreg.training import Setting, train_member
from memreg.user_code import digest

_datasets: dict[str, Dataset] = {}
_device = "cpu"
_loader = "memory"


def start(
    handles: dict[str, Path], devices: SimpleQueue[str], threads: int, loader: str, directory: str
) -> None:
    """Prepare this process: handles are those of `memreg.data.sharing`, by data-set fingerprint; devices has
    one for each process of the pool, of which this one takes the next; directory is the driver's, where code
    of the user's is.
    """
    global _device, _loader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver alone answers Ctrl-C
    multiprocessing.set_start_method("fork", force=True)  # semaphores that no kill can leak
    threading.Thread(target=_die_with_driver, daemon=True).start()
    os.chdir(directory)
    torch.set_num_threads(threads)
    _device, _loader = devices.get(), loader
    _datasets.update({key: open_shared(handle) for key, handle in handles.items()})


def own_device() -> str:
    """The device of this process, made current before anything begins a context on another card."""
    _use(_device)
    return _device


def work(jobs: Group) -> list[Prediction]:
    return run_jobs(jobs, _datasets[jobs[0].cell.dataset_fingerprint], _device, _loader)


def run_jobs(jobs: Group, dataset: Dataset, device: str, loader: str) -> list[Prediction]:
    """Train and predict the members of a group.

    Raises `ExhaustedError` where memory runs out.
    """
    job = jobs[0]
    try:
        _use(device)
        _same_code(job)
        if at_once(job.cell.recipe, dataset, setting_of(job, device, loader)) > 1:
            design, n = job.cell.design, dataset.n_train
            members = [(design.included(j.member, n), design.member_seed(j.member)) for j in jobs]
            found = train_together(job.cell.recipe, dataset, members, design.size(n), device)
        else:
            let_go()
            found = [_alone(j, dataset, setting_of(j, device, loader)) for j in jobs]
        where = _name(torch.device(device))
        return [
            replace(trained, member=j.member, step=f"{trained.step} on {where}")
            for j, trained in zip(jobs, found, strict=True)
        ]
    except (MemoryError, RuntimeError, MemregError) as error:  # the last of code of the user's
        if not out_of_memory(error):
            raise
        raise ExhaustedError(
            f"out of memory while member {job.member} of {job.cell.recipe.model} on {job.cell.dataset} was "
            "trained"
        ) from error


def run_job(job: Job, dataset: Dataset, device: str, loader: str) -> Prediction:
    """Train and predict one member."""
    return run_jobs((job,), dataset, device, loader)[0]


def _alone(job: Job, dataset: Dataset, setting: Setting) -> Prediction:
    design, n = job.cell.design, dataset.n_train
    included, seed = design.included(job.member, n), design.member_seed(job.member)
    trained = train_member(job.cell.recipe, dataset, included, seed, design.size(n), setting)
    trace = trained.trace and replace(trained.trace, member=np.array([job.member], np.int32))
    return replace(trained, trace=trace)


@cache
def _name(device: torch.device) -> str:
    """The card, or what torch uses of the CPU, as AVX512."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"a CPU with {torch.backends.cpu.get_cpu_capability()}"


def _use(device: str) -> None:
    if torch.device(device).index is not None:
        torch.cuda.set_device(device)


def _same_code(job: Job) -> None:
    """Raise `MemregError` where this process has other code of the user's than the cell was planned with."""
    observers = job.tracing.observers if job.tracing else ()
    for name, planned in (*job.cell.code, *observers):
        if planned and digest("code", name) != planned:
            raise MemregError(
                f"{name} has changed since the study began, or is another one on {platform.node()}: put it "
                "back, and run the same command again to go on"
            )


def _die_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
