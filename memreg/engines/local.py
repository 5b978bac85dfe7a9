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
from multiprocessing import forkserver
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
            key: share(dataset, Path(directory) / str(i)) for i, (key, dataset) in enumerate(datasets.items())
        }
        device = resolve_device(resources.device)
        _start_server()
        workers = resources.processes
        while True:
            pool = _pool(workers, handles, device, resources.threads)
            running: dict[Future[Prediction], Job] = {}
            try:
                while True:
                    room = workers * AHEAD - len(running)
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
                            f"a worker died {ATTEMPTS} times while member {job.member} of "
                            f"{job.cell.recipe.model} on {job.cell.dataset} was trained: out of memory? "
                            "Try fewer workers"
                        ) from None
            finally:
                _stop(pool)


def _take(retry: list[Job], waiting: Iterator[Job], room: int) -> Iterator[Job]:
    while retry and room > 0:
        room -= 1
        yield retry.pop()
    yield from islice(waiting, max(0, room))


def _start_server() -> None:
    """Start the process that workers are forked from, and wait until it has imported torch.

    Ctrl-C reaches it too, and means nothing to it: the driver ends it. A driver that is interrupted while
    it waits leaves it nothing to fork but `_nothing`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["memreg.training"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    process = context.Process(target=_nothing)
    process.start()
    process.join()


def _nothing() -> None:
    pass


def _pool(workers: int, handles: dict[str, Path], device: str, threads: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(handles, device, threads)
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
