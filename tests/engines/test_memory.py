"""Members that run out of memory: tried again with fewer beside them, before a study ends."""

import pytest
from hungry import REFUSALS, by_member, hungry, work
from studies import TINY, run, same_bits, tiny

from memreg.engines import Job, Resources, engine
from memreg.engines.job import ExhaustedError
from memreg.engines.worker import run_job
from memreg.errors import MemregError
from memreg.studies.resolved import resolve
from memreg.tracing import Tracing
from memreg.user_code import digest


@pytest.mark.parametrize("how", [how for how in REFUSALS if how != "fault"])
def test_members_that_run_out_of_memory_are_trained_with_fewer_beside_them(
    tmp_path, monkeypatch, caplog, how
):
    found = []
    for room in (1, 99):
        directory = tmp_path / str(room)
        grid = hungry(directory, how, room)
        monkeypatch.chdir(directory)
        found.append(by_member(engine("local", Resources(workers=4)).run(*work(grid, 6))))
    assert found[0].member.tolist() == list(range(6))
    same_bits(*found)
    said = [record.getMessage() for record in caplog.records if record.name == "memreg.engines.local"]
    assert [line.rpartition(": ")[2] for line in said] == [
        "training goes on in 2 instead of 4 processes",
        "training goes on in 1 instead of 2 processes",
    ]
    assert ("killed by SIGKILL" if how == "kernel" else "out of memory while member ") in said[0]


def test_a_study_goes_on(tmp_path, monkeypatch):
    grid = hungry(tmp_path, "driver", 1)
    monkeypatch.chdir(tmp_path)
    outcome = run(grid, tmp_path, workers=2)
    assert outcome.cells["members"].tolist() == [20]


def test_a_member_that_runs_out_of_memory_alone_ends_the_study_with_one_line(tmp_path, monkeypatch):
    grid = hungry(tmp_path, "host", 0)
    monkeypatch.chdir(tmp_path)
    line = "^out of memory while member 0 of hungry_host:model on digits.*, with no other beside it: "
    with pytest.raises(MemregError, match=line) as info:
        list(engine("local", Resources(workers=2)).run(*work(grid, 1)))
    assert "\n" not in str(info.value)


OWN = """
import torch


def observe(network, images, labels):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
"""


def test_memory_that_runs_out_in_code_of_the_users_is_memory_that_runs_out(tmp_path, monkeypatch):
    (tmp_path / "own_observer.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    (item, *_) = resolve(tiny().cells)
    observers = (("own_observer:observe", digest("observer", "own_observer:observe")),)
    with pytest.raises(ExhaustedError, match=r"^out of memory while member 0 of vgg3-w8 on digits"):
        run_job(Job(item.cell, 0, Tracing(1, 2, observers)), item.dataset, "cpu", "memory")


def test_who_crashes_is_named_and_not_who_was_trained_beside_it(tmp_path, monkeypatch):
    """The first cell's members are trained for long, and each time a worker dies one of them is under way."""
    grid = hungry(tmp_path, "fault", 0)
    monkeypatch.chdir(tmp_path)
    slow = tiny(defaults=TINY["defaults"] | {"epochs": 400})
    (crashes, *_), (first, *_) = resolve(grid.cells), resolve(slow.cells)
    jobs = [Job(first.cell, 0), Job(crashes.cell, 0), Job(first.cell, 1), Job(first.cell, 2)]
    datasets = {item.cell.dataset_fingerprint: item.dataset for item in (crashes, first)}
    with pytest.raises(MemregError, match="died 3 times while member 0 of hungry_fault:model on digits"):
        list(engine("local", Resources(workers=2)).run(jobs, datasets))
