"""Workers that die, at moments of every kind."""

import contextlib
import os
import time
from dataclasses import replace

import psutil
import pytest
import torch
from studies import run, tiny

from memreg import resources
from memreg.engines import Job, Resources, engine, server, worker
from memreg.engines.job import cards, dealt
from memreg.engines.local import _pool, _stop
from memreg.errors import MemregError
from memreg.exhaustion import out_of_memory
from memreg.studies.resolved import resolve


def workers():
    """Children of the process that workers are forked from."""
    own = psutil.Process().children()
    return [w for child in own for w in child.children() if w.status() != psutil.STATUS_ZOMBIE]


def kill():
    for process in workers():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("count", [1, 2])
def test_no_member_is_lost_when_workers_die_while_the_driver_is_elsewhere(count):
    (item, *_) = resolve(tiny().cells)
    jobs = [Job(item.cell, member) for member in range(12)]
    resources = Resources(workers=count)
    found = []
    for job, _ in engine("local", resources).run(jobs, {item.cell.dataset_fingerprint: item.dataset}):
        found.append(job.member)
        if len(found) in (2, 7):
            kill()
            time.sleep(1)
    assert sorted(found) == list(range(12))


def test_an_engine_that_leaves_members_out_is_no_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resources = Resources(workers=1)
    local = engine("local", resources)
    with pytest.raises(RuntimeError, match="without 1 members"):
        run(tiny(), tmp_path, on=replace(local, run=lambda jobs, datasets: local.run(jobs[1:], datasets)))


@pytest.mark.parametrize(
    ("asked", "processes"),
    [
        ({}, 1),
        ({"device": "cuda"}, 1),
        ({"device": "cuda:0"}, 1),
        ({"workers": 3}, 3),
        ({"device": "cpu"}, 16),
        ({"device": "cpu", "threads": 4}, 4),
    ],
)
def test_one_process_has_a_gpu_and_as_many_as_cores_the_cpu(asked, processes, monkeypatch):
    claim(monkeypatch, 1)
    assert engine("local", Resources(**asked)).here.processes == processes


def claim(monkeypatch, gpus):
    """Let this machine claim so many GPUs, and 16 cores."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(resources, "cores", lambda: 16)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["cuda:0", "cuda:1", "cuda:2"]),
        ({"device": "cuda"}, ["cuda:0", "cuda:1", "cuda:2"]),
        ({"workers": 5}, ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]),
        ({"workers": 2}, ["cuda:0", "cuda:1"]),
        ({"device": "cuda:1"}, ["cuda:1"]),
        ({"device": "cuda:1", "workers": 2}, ["cuda:1", "cuda:1"]),
        ({"device": "cpu", "threads": 8}, ["cpu", "cpu"]),
    ],
)
def test_cards_are_dealt_to_processes_in_turn(asked, found, monkeypatch):
    claim(monkeypatch, 3)
    here = engine("local", Resources(**asked)).here
    assert dealt(cards(here.device), here.processes) == found


def test_a_card_that_is_not_there_is_refused(monkeypatch):
    claim(monkeypatch, 2)
    with pytest.raises(MemregError, match=r"^device 'cuda:2' .* torch sees no such card: cuda:0, cuda:1$"):
        engine("local", Resources(device="cuda:2"))


def test_each_process_of_a_pool_keeps_a_card_and_so_does_each_of_the_pool_that_replaces_it(monkeypatch):
    claim(monkeypatch, 2)
    server.ready()
    for _ in range(2):
        pool = _pool(4, {}, Resources(device="cuda"))
        with server.without_main():
            found = [future.result() for future in [pool.submit(own_card, 0.3) for _ in range(4)]]
            again = [future.result() for future in [pool.submit(own_card, 0.3) for _ in range(4)]]
        _stop(pool)
        assert sorted(dict(found).values()) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
        assert dict(found) == dict(again)


def own_card(seconds):
    """The process that this runs in, and its card."""
    time.sleep(seconds)
    return os.getpid(), worker._device


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_other_errors(error, memory):
    assert out_of_memory(error) is memory


def test_an_error_in_the_wake_of_memory_that_ran_out_is_one_too():
    """As where a recording of CUDA's cannot be ended after it."""
    error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    assert not out_of_memory(error)
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory.")
    assert out_of_memory(error)
