"""The worker's side of the local engine. Imported, with torch, before workers are forked."""

import multiprocessing
import os
import platform
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from memreg.data.dataset import Dataset
from memreg.data.sharing import open_shared
from memreg.engines.job import Job
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.training import Setting, train_member
from memreg.user_code import digest

_datasets: dict[str, Dataset] = {}
_device = "cpu"
_loader = "memory"


def start(handles: dict[str, Path], device: str, threads: int, loader: str, directory: str) -> None:
    """Prepare this process: handles are those of `memreg.data.sharing`, by data-set fingerprint; directory is
    the driver's, where code of the user's is.
    """
    global _device, _loader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver alone answers Ctrl-C
    multiprocessing.set_start_method("fork", force=True)  # semaphores that no kill can leak
    threading.Thread(target=_die_with_driver, daemon=True).start()
    os.chdir(directory)
    torch.set_num_threads(threads)
    _device, _loader = device, loader
    _datasets.update({key: open_shared(handle) for key, handle in handles.items()})


def work(job: Job) -> Prediction:
    return run_job(job, _datasets[job.cell.dataset_fingerprint], _device, _loader)


def run_job(job: Job, dataset: Dataset, device: str, loader: str) -> Prediction:
    """Train and predict one member. The first of a cell keeps its learning curve."""
    design, n = job.cell.design, dataset.n_train
    _same_code(job)
    try:
        trained = train_member(
            job.cell.recipe,
            dataset,
            design.included(job.member, n),
            design.member_seed(job.member),
            design.size(n),
            Setting(device, loader, curve=job.member == 0, tracing=job.tracing),
        )
        numbered = trained.trace and replace(trained.trace, member=np.array([job.member], np.int32))
        return replace(trained, member=job.member, trace=numbered)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise MemregError(
            f"out of memory while member {job.member} of {job.cell.recipe.model} on {job.cell.dataset} was "
            "trained: try fewer workers"
        ) from error


def _same_code(job: Job) -> None:
    """Raise `MemregError` where this process has other code of the user's than the cell was planned with."""
    observers = job.tracing.observers if job.tracing else ()
    for name, planned in (*job.cell.code, *observers):
        if planned and digest("code", name) != planned:
            raise MemregError(
                f"{name} has changed since the study began, or is another one on {platform.node()}: put it "
                "back, and run the same command again to go on"
            )


def _out_of_memory(error: Exception) -> bool:
    """torch has a class of its own for CUDA alone."""
    named = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return named or "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _die_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
