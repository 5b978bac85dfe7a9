"""What every engine keeps to."""

import torch

from memreg.cell import Cell
from memreg.data import Dataset, load
from memreg.design import Subsets
from memreg.engines import Engine, Job, Resources, engine
from memreg.engines.worker import run_job
from memreg.members import Members
from memreg.recipe import Recipe

SET = "digits+subset=100"


class EngineSuite:
    """Set `name`, as `engine=` has it, or say in `engine` how it is made."""

    name: str

    def engine(self, workers: int) -> Engine:
        """Make the engine with so many processes."""
        return engine(self.name, Resources(workers=workers))

    def dataset(self) -> Dataset:
        """What its members are trained on."""
        return load(SET)

    def jobs(self, members: int) -> list[Job]:
        """List jobs of one cell."""
        dataset = self.dataset()
        recipe = Recipe(model="vgg3-w4", epochs=1, batch_size=32, learning_rate=0.1)
        design, fingerprint = Subsets(r=0.7), dataset.fingerprint
        cell = Cell(dataset=dataset.name, dataset_fingerprint=fingerprint, recipe=recipe, design=design)
        return [Job(cell, member) for member in range(members)]

    def run(self, jobs: list[Job], workers: int) -> Members:
        """The members of these jobs, by their index."""
        dataset = self.dataset()
        found = list(self.engine(workers).run(jobs, {dataset.fingerprint: dataset}))
        assert sorted(job.member for job, _ in found) == sorted(job.member for job in jobs)
        assert all(job.member == prediction.member for job, prediction in found)
        return Members.of(prediction for _, prediction in found)

    def test_members_are_those_of_this_process_whatever_the_order_and_the_workers(self) -> None:
        jobs, dataset = self.jobs(5), self.dataset()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as the workers have
        here = Members.of(run_job(job, dataset, "cpu", "memory") for job in jobs)
        torch.set_num_threads(threads)
        for some in (self.run(jobs, workers=1), self.run(jobs[::-1], workers=2)):
            for name, column in here.columns.items():
                assert column.tobytes() == some.columns[name].tobytes(), name

    def test_no_job_is_no_member(self) -> None:
        dataset = self.dataset()
        assert list(self.engine(1).run([], {dataset.fingerprint: dataset})) == []
