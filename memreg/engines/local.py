"""The local engine: one process per core, one torch thread each."""

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from memreg.data.dataset import Dataset
from memreg.data.sharing import open_shared, share
from memreg.engines.job import Job, Resources, resolve_device, run_job
from memreg.errors import MemregError
from memreg.prediction import Prediction

AHEAD = 2  # jobs submitted per worker: enough that none waits for the driver
ATTEMPTS = 3  # a member whose worker dies this often is given up

_datasets: dict[str, Dataset] = {}
_device = "cpu"


def run_local(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], resources: Resources
) -> Iterator[tuple[Job, Prediction]]:
    """Predictions in the order in which members finish.

    Data sets are memory-mapped by every worker, so they exist once. A worker that is killed is replaced, and
    what it was training is trained again.
    """
    waiting = iter(jobs)
    retry: list[Job] = []
    deaths: dict[Job, int] = {}
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        handles = {
            key: share(dataset, Path(directory) / str(i))
            for i, (key, dataset) in enumerate(datasets.items())
        }
        while True:
            pool = _pool(handles, resources)
            running: dict[Future[Prediction], Job] = {}
            try:
                while True:
                    room = pool._max_workers * AHEAD - len(running)
                    for job in _take(retry, waiting, room):
                        running[pool.submit(_work, job)] = job
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        prediction = future.result()
                        yield running.pop(future), prediction
            except BrokenProcessPool:
                retry = list(running.values())
                for job in retry:
                    deaths[job] = deaths.get(job, 0) + 1
                    if deaths[job] == ATTEMPTS:
                        raise MemregError(
                            f"a worker died {ATTEMPTS} times while member {job.member} of {job.cell.recipe.model} "
                            f"on {job.cell.dataset} was trained: out of memory? Try fewer workers"
                        ) from None
            finally:
                _stop(pool)


def _take(retry: list[Job], waiting: Iterator[Job], room: int) -> Iterator[Job]:
    while retry and room > 0:
        room -= 1
        yield retry.pop()
    yield from islice(waiting, max(0, room))


def _pool(handles: dict[str, Path], resources: Resources) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["memreg.training"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ProcessPoolExecutor(
        resources.workers or max(1, cores // resources.threads),
        mp_context=context,
        initializer=_start,
        initargs=(handles, resolve_device(resources.device), resources.threads),
    )


def _stop(pool: ProcessPoolExecutor) -> None:
    """Leave nothing running: what is unfinished is trained again next time."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _start(handles: dict[str, Path], device: str, threads: int) -> None:
    import torch

    global _device
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver alone answers Ctrl-C
    threading.Thread(target=_die_with_driver, daemon=True).start()
    torch.set_num_threads(threads)
    _device = device
    _datasets.update({key: open_shared(handle) for key, handle in handles.items()})


def _die_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _work(job: Job) -> Prediction:
    return run_job(job, _datasets[job.cell.dataset_fingerprint], _device)
