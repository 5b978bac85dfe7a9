"""Workers that die, at moments of every kind."""

import contextlib
import time
from dataclasses import replace

import psutil
import pytest
from studies import run, tiny

from memreg.engines import Job, Resources, engine
from memreg.studies.resolved import resolve


def workers():
    """Children of the process that workers are forked from."""
    own = psutil.Process().children()
    return [w for child in own for w in child.children() if w.status() != psutil.STATUS_ZOMBIE]


def kill():
    for worker in workers():
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


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
