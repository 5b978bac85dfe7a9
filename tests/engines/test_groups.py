"""Members that a GPU trains together; how they are trained there is in tests/test_together.py."""

import numpy as np
import pytest

from memreg.cell import Cell
from memreg.data import load
from memreg.design import Subsets
from memreg.engines import Job, worker
from memreg.engines.groups import grouped
from memreg.recipe import Recipe
from memreg.together import STACK, STREAMS, TURNS
from memreg.tracing import Tracing


@pytest.fixture(scope="module")
def datasets():
    return {d.fingerprint: d for d in (load("digits+subset=100"), load("digits+subset=60+size=32"))}


def cell(dataset, **changes):
    recipe = Recipe(**{"model": "vgg3-w4", "epochs": 1, "batch_size": 16, "learning_rate": 0.1, **changes})
    return Cell(
        dataset=dataset.name, dataset_fingerprint=dataset.fingerprint, recipe=recipe, design=Subsets(r=0.7)
    )


def sizes(jobs, datasets, device="cuda", loader="memory"):
    groups = list(grouped(jobs, datasets, device, loader))
    assert [job for group in groups for job in group] == jobs
    assert all(len({job.cell for job in group}) == 1 for group in groups)
    return [len(group) for group in groups]


def test_members_of_a_cell_go_together_but_for_the_first_which_keeps_its_curve(datasets):
    small, large = datasets.values()
    few = [Job(cell(small), m) for m in range(TURNS * STACK + 5)]
    many = [Job(cell(large, model="vgg6-w16"), m) for m in range(1, 2 * STREAMS + 2)]
    assert sizes(few + many, datasets) == [1, TURNS * STACK, 4, STREAMS, STREAMS, 1]
    assert sizes(few, datasets, device="cpu") == [1] * len(few)
    assert sizes(many, datasets, loader="ffcv") == [1] * len(many)


def test_members_that_keep_a_trace_are_trained_alone(datasets):
    asked = cell(next(iter(datasets.values())))
    jobs = [Job(asked, m, Tracing(members=3) if m < 3 else None) for m in range(6)]
    assert sizes(jobs, datasets) == [1, 1, 1, 3]


def test_a_group_gives_each_job_its_own_member(datasets, monkeypatch):
    """As on a GPU, but for the device: the bits are those of jobs alone."""
    dataset = list(datasets.values())[1]
    jobs = [Job(cell(dataset, model="vgg6-w16"), m) for m in (1, 2, 3)]
    alone = [worker.run_job(job, dataset, "cpu", "memory") for job in jobs]
    monkeypatch.setattr(worker, "at_once", lambda *_: STREAMS)
    found = worker.run_jobs(jobs, dataset, "cpu", "memory")
    assert [p.member for p in found] == [1, 2, 3]
    for one, other in zip(found, alone, strict=True):
        assert one.seed == other.seed
        assert np.array_equal(one.included, other.included)
        assert np.array_equal(one.margin, other.margin)
