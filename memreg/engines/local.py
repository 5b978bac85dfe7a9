"""The local engine: one process per core, one torch thread each."""

import signal
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from memreg.data.dataset import Dataset
from memreg.data.sharing import share
from memreg.engines import server, worker
from memreg.engines.job import AHEAD, ATTEMPTS, Engine, Job, resolve_device, resolve_loader
from memreg.errors import MemregError
from memreg.members import Prediction
from memreg.resources import Resources

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
    device = resolve_device(resources.device)
    resolve_loader(resources.loader)
    if resources.gpus:
        raise MemregError("gpus is for engine=ray: with engine=local say device=cuda")
    return Engine(partial(run_local, resources=resources), device, resources)


def run_local(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], resources: Resources
) -> Iterator[tuple[Job, Prediction]]:
    """Predictions in the order in which members finish.

    Data sets are memory-mapped by every worker, so they exist once. A worker that is killed is replaced, and
    what it was training is trained again.
    """
    waiting = deque(jobs)
    deaths: dict[Job, int] = {}
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        handles = {
            key: share(dataset, Path(directory) / str(i)) for i, (key, dataset) in enumerate(datasets.items())
        }
        device, loader = resolve_device(resources.device), resolve_loader(resources.loader)
        server.ready()
        workers = resources.processes
        while True:
            pool = _pool(workers, handles, device, resources.threads, loader)
            running: dict[Future[Prediction], Job] = {}
            processes: list[Any] = []
            try:
                while True:
                    while waiting and len(running) < workers * AHEAD:
                        with server.without_main():
                            running[pool.submit(worker.work, waiting[0])] = waiting[0]
                        waiting.popleft()
                    processes = list((pool._processes or {}).values())
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        prediction = future.result()
                        yield running.pop(future), prediction
            except BrokenProcessPool:
                how = _died(processes)
                waiting.extendleft(reversed(running.values()))
                for job in running.values():
                    deaths[job] = deaths.get(job, 0) + 1
                    if deaths[job] == ATTEMPTS:
                        raise MemregError(
                            f"a worker died {ATTEMPTS} times while member {job.member} of "
                            f"{job.cell.recipe.model} on {job.cell.dataset} was trained: {how}"
                        ) from None
            finally:
                _stop(pool)


def _pool(
    workers: int, handles: dict[str, Path], device: str, threads: int, loader: str
) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        workers,
        mp_context=server.context,
        initializer=worker.start,
        initargs=(handles, device, threads, loader, str(Path.cwd())),
    )


def _died(processes: Sequence[Any]) -> str:
    """How the first of these processes ended; the pool then ends the others by SIGTERM."""
    for process in processes:
        process.join(SECONDS)
    codes = [code for process in processes if (code := process.exitcode) not in (None, 0)]
    code = next((code for code in codes if code != -signal.SIGTERM), codes[0] if codes else None)
    if code is None:
        return "how is not known"
    if code > 0:
        return f"it exited with status {code}"
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
    if name == "SIGKILL":
        return "killed by SIGKILL, as the kernel does when memory runs out: out of memory? Try fewer workers"
    return f"killed by {name}: {HINTS.get(name, 'somebody or something sent it')}"


def _stop(pool: ProcessPoolExecutor) -> None:
    """Leave nothing running: what is unfinished is trained again next time."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
