"""Members that run out of memory: tried again with fewer beside them, before a study ends."""

import pytest
from hungry import REFUSALS, by_member, hungry, work
from studies import run, same_bits

from memreg.engines import Resources, engine
from memreg.errors import MemregError


@pytest.mark.parametrize("how", REFUSALS)
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
