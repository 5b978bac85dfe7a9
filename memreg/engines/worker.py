"""The worker's side of the local engine. Imported, with torch, before workers are forked."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import torch

from memreg.data.dataset import Dataset
from memreg.data.sharing import open_shared
from memreg.engines.job import Job
from memreg.prediction import Prediction
from memreg.training import train_member

_datasets: dict[str, Dataset] = {}
_device = "cpu"


def start(handles: dict[str, Path], device: str, threads: int) -> None:
    """Prepare this process: handles are those of `memreg.data.sharing`, by data-set fingerprint."""
    global _device
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver alone answers Ctrl-C
    threading.Thread(target=_die_with_driver, daemon=True).start()
    torch.set_num_threads(threads)
    _device = device
    _datasets.update({key: open_shared(handle) for key, handle in handles.items()})


def work(job: Job) -> Prediction:
    return run_job(job, _datasets[job.cell.dataset_fingerprint], _device)


def run_job(job: Job, dataset: Dataset, device: str) -> Prediction:
    """Train and predict one member. The first of a cell keeps its learning curve."""
    design, n = job.cell.design, dataset.n_train
    return train_member(
        job.cell.recipe,
        dataset,
        design.included(job.member, n),
        design.member_seed(job.member),
        member=job.member,
        epoch_size=design.size(n),
        device=device,
        curve=job.member == 0,
    )


def _die_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
