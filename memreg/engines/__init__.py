"""Engines run members and yield their predictions as they finish. They differ in where, not in what.

An engine is a function (jobs, datasets, resources) -> iterator of (job, prediction).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from memreg.data.dataset import Dataset
from memreg.engines.job import Job, Resources
from memreg.engines.local import run_local
from memreg.errors import MemregError
from memreg.prediction import Prediction

Engine = Callable[[Iterable[Job], Mapping[str, Dataset], Resources], Iterator[tuple[Job, Prediction]]]

ENGINES: dict[str, Engine] = {"local": run_local}


def engine(name: str) -> Engine:
    if name not in ENGINES:
        raise MemregError(f"unknown engine '{name}': one of {', '.join(ENGINES)}")
    return ENGINES[name]


__all__ = ["ENGINES", "Engine", "Job", "Resources", "engine"]
