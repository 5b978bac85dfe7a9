"""Ctrl-C is answered once, and never lost."""

import os
import signal
import sys
import time

import pytest
from mlflow import MlflowClient
from pyarrow import feather
from sqlalchemy import create_engine, event
from studies import TINY, run, tiny, uri

from memreg import interruption
from memreg.registry import CellWriter, Store
from memreg.show.terminal import Reporter


@pytest.fixture
def listening():
    before = {n: signal.getsignal(n) for n in (*interruption.SIGNALS, signal.SIGALRM)}
    hook = sys.unraisablehook
    interruption.listen()
    yield
    interruption.listen()
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


class Swallowing:
    """Is interrupted in its finalizer: Python drops that, and goes on."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def test_an_interruption_that_a_finalizer_swallows_stops_the_study(tmp_path, monkeypatch, listening, capsys):
    advanced = []

    def advance(self, cell):
        advanced.append(cell)
        if len(advanced) == 3:
            Swallowing()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Reporter, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        run(tiny(), tmp_path)
    assert len(advanced) == 3
    assert "Exception ignored" not in capsys.readouterr().err


def once(monkeypatch, owner, name):
    """A method that is interrupted as it is first called."""
    do, calls = getattr(owner, name), []

    def interrupted(*arguments, **named):
        calls.append(name)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return do(*arguments, **named)

    monkeypatch.setattr(owner, name, interrupted)


def test_members_that_were_being_stored_are_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    once(monkeypatch, CellWriter, "store")
    with pytest.raises(KeyboardInterrupt):
        run(tiny(cells=TINY["cells"][:1]), tmp_path)
    (shard,) = tmp_path.glob("mlruns/**/*.arrow")
    assert feather.read_table(shard).num_rows == 20


@pytest.mark.parametrize(("owner", "name"), [(Store, "adopt"), (Store, "save_view"), (CellWriter, "reopen")])
def test_no_run_is_left_running_before_the_first_member(tmp_path, monkeypatch, owner, name):
    monkeypatch.chdir(tmp_path)
    once(monkeypatch, owner, name)
    with pytest.raises(KeyboardInterrupt):
        run(tiny(), tmp_path)
    runs = MlflowClient(uri(tmp_path)).search_runs(["1"])
    assert [r.info.status for r in runs] == ["KILLED"] * 5
    assert not any("memreg.lease" in r.data.tags for r in runs)


def test_no_interruption_inside_the_database(tmp_path, listening):
    engine = create_engine(f"sqlite:///{tmp_path}/some.db")

    @event.listens_for(engine, "after_cursor_execute")
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)

    def write():
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt) as stopped:
        write()
    assert [entry.name for entry in stopped.traceback][-2:] == ["write", "_interrupt"]


def test_one_that_was_put_off_and_asked_for_does_not_come_again(tmp_path, listening, monkeypatch):
    monkeypatch.setattr(interruption, "MOMENT", 0.2)
    engine = create_engine(f"sqlite:///{tmp_path}/some.db")
    event.listen(engine, "after_cursor_execute", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    time.sleep(0.5)


def test_what_is_put_in_order_is_not_interrupted_again(listening):
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    for number in interruption.SIGNALS:
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
