"""The local engine: one process per core with one torch thread, or one per card."""

import logging
import signal
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from memreg.data.dataset import Dataset
from memreg.data.sharing import share
from memreg.engines import server, worker
from memreg.engines.groups import grouped
from memreg.engines.job import (
    AHEAD,
    ALONE,
    ATTEMPTS,
    Engine,
    ExhaustedError,
    Group,
    Job,
    cards,
    dealt,
    resolved,
)
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources

log = logging.getLogger(__name__)

SECONDS = 5.0  # for a worker whose pool is broken to be seen to have ended
HINTS = {
    "SIGSEGV": "a fault in compiled code, of torch or of the model, not for want of memory",
    "SIGBUS": "a file that it had mapped has shrunk, or /dev/shm is full",
    "SIGILL": "compiled code for another processor",
    "SIGABRT": "compiled code gave up",
    "SIGFPE": "compiled code divided by zero",
}


def local(resources: Resources) -> Engine:
    """`run_local`, with the process that its workers will be forked from already importing torch."""
    server.begin()
    resources = resolved(resources)
    if resources.gpus:
        raise MemregError("gpus is for engine=ray: with engine=local say device=cuda")
    return Engine(partial(run_local, resources=resources), resources.device, resources)


def run_local(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], resources: Resources
) -> Iterator[tuple[Job, Prediction]]:
    """Predictions in the order in which members finish.

    Data sets are memory-mapped by every worker, so they exist once. A worker that is killed is replaced, and
    what it was training is trained again. Where memory runs out, training goes on in half as many workers.
    """
    deaths = Counter[Job]()
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        handles = {
            key: share(dataset, Path(directory) / str(i)) for i, (key, dataset) in enumerate(datasets.items())
        }
        resources = resolved(resources)
        server.ready()
        waiting = deque(grouped(jobs, datasets, resources.device, resources.loader))
        workers = resources.processes
        while True:
            pool = _pool(workers, handles, resources)
            running: dict[Future[list[Prediction]], Group] = {}
            processes: list[Any] = []
            try:
                while True:
                    most = 1 if _suspected(deaths) else workers * AHEAD
                    while waiting and len(running) < most:
                        with server.without_main():
                            running[pool.submit(worker.work, waiting[0])] = waiting[0]
                        waiting.popleft()
                    processes = list((pool._processes or {}).values())
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in sorted(done, key=_failed):
                        predictions = future.result()
                        for job in running[future]:
                            deaths.pop(job, None)
                        yield from zip(running.pop(future), predictions, strict=True)
            except ExhaustedError as error:
                if workers == 1:
                    raise MemregError(f"{error}, {ALONE}") from None
                workers = _fewer(workers, len(running), str(error))
            except BrokenProcessPool:
                code = _code(processes)
                if code == -signal.SIGKILL and workers > 1:
                    workers = _fewer(workers, len(running), f"a worker was {_died(code)}")
                else:
                    _count(deaths, chain.from_iterable(running.values()), code)
            finally:
                _stop(pool)
            waiting.extendleft(reversed(running.values()))


def _pool(workers: int, handles: dict[str, Path], resources: Resources) -> ProcessPoolExecutor:
    """Processes of which each has a card of the device, or the CPU. None is replaced: the pool is, by
    another, when one dies."""
    devices: SimpleQueue[str] = server.context.SimpleQueue()
    for device in dealt(cards(resources.device), workers):
        devices.put(device)
    return ProcessPoolExecutor(
        workers,
        mp_context=server.context,
        initializer=worker.start,
        initargs=(handles, devices, resources.threads, resources.loader, str(Path.cwd())),
    )


def _failed(future: Future[list[Prediction]]) -> bool:
    return future.exception() is not None


def _fewer(workers: int, running: int, why: str) -> int:
    """Half as many, which a person is told."""
    fewer = max(1, min(workers, running) // 2)
    log.warning("%s: training goes on in %d instead of %d processes", why, fewer, workers)
    return fewer


def _suspected(deaths: Counter[Job]) -> bool:
    """Whether the next death decides: then one group is trained at a time, so that it is known which."""
    return any(number >= ATTEMPTS - 1 for number in deaths.values())


def _count(deaths: Counter[Job], jobs: Iterable[Job], code: int | None) -> None:
    """Raise `MemregError` where a worker has died too often while one of these was trained."""
    for job in jobs:
        deaths[job] += 1
        if deaths[job] == ATTEMPTS:
            raise MemregError(
                f"a worker died {ATTEMPTS} times while member {job.member} of "
                f"{job.cell.recipe.model} on {job.cell.dataset} was trained: {_died(code)}"
            ) from None


def _code(processes: Sequence[Any]) -> int | None:
    """What the first of these processes to end ended with; the pool then ends the others by SIGTERM."""
    for process in processes:
        process.join(SECONDS)
    codes = [code for process in processes if (code := process.exitcode) not in (None, 0)]
    return next((code for code in codes if code != -signal.SIGTERM), codes[0] if codes else None)


def _died(code: int | None) -> str:
    """How a process with this exit code died."""
    if code is None:
        return "how is not known"
    if code > 0:
        return f"it exited with status {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
    if name == "SIGKILL":
        return "killed by SIGKILL, as the kernel does when memory runs out"
    return f"killed by {name}: {HINTS.get(name, 'somebody or something sent it')}"


def _stop(pool: ProcessPoolExecutor) -> None:
    """Leave nothing running: what is unfinished is trained again next time."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
