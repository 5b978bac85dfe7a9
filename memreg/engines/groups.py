"""Which members a process trains together."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from memreg.data.dataset import Dataset
from memreg.engines.job import Group, Job
from memreg.together import at_once
from memreg.training import Setting


def setting_of(job: Job, device: str, loader: str) -> Setting:
    """The first member of a cell keeps its learning curve."""
    return Setting(device, loader, curve=job.member == 0, tracing=job.tracing)


def grouped(
    jobs: Iterable[Job], datasets: Mapping[str, Dataset], device: str, loader: str
) -> Iterator[Group]:
    """The same jobs in the same order: alone, or as many of one cell as are trained together."""

    def kind(job: Job) -> tuple[str, int]:
        dataset = datasets[job.cell.dataset_fingerprint]
        return job.cell.hash, at_once(job.cell.recipe, dataset, setting_of(job, device, loader))

    for (_, size), alike in groupby(jobs, kind):
        group = tuple(alike)
        yield from (group[i : i + size] for i in range(0, len(group), size))
