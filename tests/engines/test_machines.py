"""Proxies, output without a terminal, workers that die of a signal."""

import http.server
import os
import re
import signal
import threading
import time
from typing import ClassVar

import pytest
from studies import tiny

from memreg.engines import Job, Resources, engine
from memreg.errors import MemregError
from memreg.registry.connection import connect
from memreg.show import terminal
from memreg.studies.resolved import resolve


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers as MLflow would for a server that only it can reach."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        body = b'{"experiments": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  http.server calls it so

    def log_message(self, *_):
        pass


def test_a_server_behind_a_proxy(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    try:
        assert connect("http://tracking.nowhere.invalid:5000").tracking_uri.endswith(":5000")
        assert Proxy.asked[-1].startswith(
            "http://tracking.nowhere.invalid:5000/api/2.0/mlflow/experiments/search"
        )
        monkeypatch.setenv("no_proxy", "nowhere.invalid")
        with pytest.raises(MemregError, match=r"does not answer .*: is `mlflow server` running there"):
            connect("http://tracking.nowhere.invalid:5000")
    finally:
        server.shutdown()


def test_without_a_terminal_progress_is_said_also_while_no_member_ends(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "EVERY", 0.05)
    (item, *_) = resolve(tiny().cells)
    with terminal.Reporter() as reporter:
        reporter.start([(item.cell, 4, 4)])
        time.sleep(0.2)
        reporter.advance(item.cell)
        time.sleep(0.3)
    out = capsys.readouterr().out
    assert "0 of 4 members trained, 0.0 a minute, time left not known yet" in out
    assert "1 of 4 members trained, " in out
    assert re.search(r"about \d+ s left", out)
    time.sleep(0.2)
    assert not capsys.readouterr().out, "nothing is said after the end"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGSEGV, "killed by SIGSEGV: a fault in compiled code"),
        (signal.SIGKILL, "killed by SIGKILL, as the kernel does"),
    ],
)
def test_workers_that_die_of_a_signal(monkeypatch, number, said):
    from memreg.engines import worker

    (item, *_) = resolve(tiny().cells)
    resources = Resources(workers=1)
    monkeypatch.setattr(worker, "work", Die(int(number)))
    with pytest.raises(MemregError, match=f"a worker died 3 times while member 0 .*{said}") as info:
        list(
            engine("local", resources).run([Job(item.cell, 0)], {item.cell.dataset_fingerprint: item.dataset})
        )
    assert "\n" not in str(info.value)


class Die:
    """In place of a member's training."""

    def __init__(self, number):
        self.number = number

    def __call__(self, _):
        os.kill(os.getpid(), self.number)
