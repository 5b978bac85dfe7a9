"""The tracking database is created whole, and readers create none."""

import os
import signal
import subprocess
import sys
import time

import pytest

from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.registry.connection import connect, masked


def test_a_kill_while_the_database_is_created_leaves_none_or_a_whole_one(tmp_path):
    program = (
        "import sys; from memreg.registry.connection import connect; print(flush=True);"
        "connect(sys.argv[1], create=True)"
    )
    for delay in (0.05, 0.2, 0.4, 0.6):
        uri = f"sqlite:///{tmp_path}/{delay}.db"
        process = subprocess.Popen([sys.executable, "-c", program, uri], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        connect(uri, create=True)
        assert Registry(uri).cells().empty


def test_creating_twice_keeps_what_is_there(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    connect(uri, create=True).create_experiment("mine")
    connect(uri, create=True)
    assert connect(uri).get_experiment_by_name("mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db"]


def test_readers_create_no_database(tmp_path):
    with pytest.raises(MemregError, match="no database yet"):
        Registry(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_credentials_are_masked():
    assert masked("postgresql://me:secret@host/db") == "postgresql://***@host/db"
    assert masked("http://user:pw@host:5000") == "http://***@host:5000"
    assert masked("postgresql://me:se/c@ret@host/db?x=1") == "postgresql://***@host/db?x=1"
    assert masked("mysql://host/db?user=me&password=secret&x=1") == "mysql://host/db?user=me&password=***&x=1"
    for secret in ("se'cret", 'se"cret', "se cret", "s@e cret"):
        assert masked(f"postgresql+psycopg://me:{secret}@host/db") == "postgresql+psycopg://***@host/db"
    assert masked("URI postgresql://me:se'cret@host/db is none") == "URI postgresql://***@host/db is none"
    assert masked("no credentials: sqlite:///a/b.db") == "no credentials: sqlite:///a/b.db"
