"""Ctrl-C is answered once, and never lost."""

import os
import signal
import sys
import time

import pytest
from sqlalchemy import create_engine, event
from studies import run, tiny

from memreg import interruption
from memreg.terminal import Reporter


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
