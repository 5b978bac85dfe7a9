"""Two readers, one frame; and reading changes nothing."""

import hashlib
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import odd_store
import pandas as pd
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlParam
from servers import MariaDb, need_mariadb

from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.registry.api import Api
from memreg.registry.connection import connect, exclusive
from memreg.registry.frames import frame
from memreg.registry.reader import COMPLETE
from memreg.registry.sql import REVISIONS, Sql, sql_reader
from memreg.registry.tuning import file_system, tune


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """(tracking URI, ids of all runs)."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('odd')}/mlflow.db"
    return uri, odd_store.fill(MlflowClient(uri))


def same_frames(uri, ids):
    """Whether both readers give the same frames, to the bit and in the same order."""
    api, sql = Api(MlflowClient(uri)), sql_reader(uri)
    assert isinstance(sql, Sql)
    sizes = set()
    for extra in odd_store.FILTERS:
        for base in ("", COMPLETE):
            where = " and ".join(part for part in (base, extra) if part)
            for columns in (None, ["infinite", "weight_decay", "tiny"], []):
                slow = api.wide(where, columns)
                a, b = frame(slow), frame(sql.wide(where, columns))
                pd.testing.assert_frame_equal(a, b, check_exact=True)
                assert a["run_id"].tolist() == slow.run_id
                sizes.add(a.shape)
    assert len(sizes) > 10
    for some in (ids, ids[5:9], ids[:1], ids[3:2]):
        a, b = (frame(reader.wide_of(some)).sort_values("run_id", ignore_index=True) for reader in (api, sql))
        pd.testing.assert_frame_equal(a, b, check_exact=True)
        assert sorted(a["run_id"]) == sorted(some)


def test_both_readers_give_the_same_frame(odd):
    same_frames(*odd)


def test_odd_values_come_through(odd):
    uri, _ = odd
    cells = Registry(uri).cells()
    assert 10 < len(cells) < 40
    assert cells["infinite"].dropna().eq(np.inf).all()
    assert cells["minus_infinite"].dropna().eq(-np.inf).all()
    assert cells["huge"].dropna().eq(1.5e308).all()
    assert cells["nan"].isna().all()
    assert set(cells["model"].dropna()) >= {"007"}
    assert cells["weight_decay"].dtype == float
    assert set(cells["epochs"].dropna()) >= {30}
    assert (cells["tiny"].dropna() == 5e-324).all()
    assert cells["cell"].dropna().str.len().eq(64).all()


def test_columns_and_filters(odd):
    registry = Registry(odd[0])
    chosen = registry.cells(where="params.epochs = '30'", columns=["infinite", "epochs"])
    assert chosen.columns.tolist() == ["run_id", "cell", "study", "infinite", "epochs"]
    assert chosen["epochs"].eq(30).all()
    whole = registry.cells()
    assert chosen["run_id"].tolist() == whole.loc[whole["epochs"] == 30, "run_id"].tolist()
    with pytest.raises(MemregError, match="no cell here has a param or metric 'epocs'"):
        registry.cells(columns=["epocs"])
    for bad in ("epochs = 30 or 1 = 1", "params.epochs", "metrics.x = 'text'", "nonsense.x = '1'"):
        with pytest.raises(MemregError, match="cannot search"):
            registry.cells(where=bad)


def test_means_over_chosen_examples_that_earlier_versions_stored_are_not_read(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    measured = {"mean_score": 0.6, "memorized_fraction/0.25": 0.9, "test_accuracy": 0.5}
    for number, design in enumerate(("subsets", "candidates", "leave_group_out")):
        tags = {"memreg.kind": "cell", "memreg.status": "complete", "memreg.metrics": "2"}
        run_id = client.create_run("0", 1 + number, tags).info.run_id
        client.log_param(run_id, "design", design)
        for key, value in measured.items():
            client.log_metric(run_id, key, value)
    sql = sql_reader(uri)
    assert isinstance(sql, Sql)
    for reader in (Api(client), sql):
        for columns in (None, ["mean_score", "memorized_fraction/0.25", "test_accuracy"], ["mean_score"]):
            table = frame(reader.wide(COMPLETE, columns), columns)
            assert table["mean_score"].isna().tolist() == [False, True, True]
            assert columns is None or table.columns.tolist() == ["run_id", "cell", "study", *columns]
            if "test_accuracy" in table:
                assert table["memorized_fraction/0.25"].isna().tolist() == [False, True, True]
                assert table["test_accuracy"].eq(0.5).all()


@pytest.mark.parametrize("change", ["revision", "workspaces"])
def test_where_the_tables_are_not_known_the_api_reads(tmp_path, monkeypatch, change):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(uri).search_experiments()
    assert isinstance(sql_reader(uri), Sql)
    if change == "revision":
        with sa.create_engine(uri).begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'abcdefabcdef'")
    else:
        monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert sql_reader(uri) is None
    assert sql_reader("http://127.0.0.1:1") is None


def test_this_mlflow_is_one_of_the_tested(odd):
    with sa.create_engine(odd[0]).connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() in REVISIONS


def test_reading_writes_nothing(odd, tmp_path, monkeypatch):
    uri, ids = odd
    path = Path(uri.removeprefix("sqlite:///"))
    before = hashlib.sha256(path.read_bytes()).hexdigest(), sorted(path.parent.iterdir())
    monkeypatch.chdir(tmp_path)
    registry = Registry(uri)
    registry.cells()
    registry.rows(ids[:3])
    for question in (lambda: registry.cells("nothing"), lambda: registry.scores("abcdef12")):
        with pytest.raises(MemregError):
            question()
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), sorted(path.parent.iterdir())) == before
    for nowhere in (f"sqlite:///{tmp_path}/mlflow.db", "sqlite:///mlflow.db"):
        with pytest.raises(MemregError, match="no database yet"):
            Registry(nowhere)
    (tmp_path / "empty.db").touch()
    with pytest.raises(MemregError, match="no database yet"):
        Registry(f"sqlite:///{tmp_path}/empty.db")
    assert [p.name for p in tmp_path.iterdir()] == ["empty.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0


def one_snapshot(uri):
    """A param and a metric that every transaction changes together are never seen apart."""
    client = MlflowClient(uri)
    experiment = client.create_experiment("snapshot")
    run_ids = [client.create_run(experiment, tags={"memreg.kind": "x"}).info.run_id for _ in range(50)]
    for run_id in run_ids:
        client.log_param(run_id, "turn", "0")
        client.log_metric(run_id, "metric", 0.0)
    engine, stop = sa.create_engine(uri), threading.Event()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            with engine.begin() as connection:
                for table, key, value in ((SqlParam, "turn", str(turn)), (SqlLatestMetric, "metric", turn)):
                    connection.execute(sa.update(table).where(table.key == key).values(value=value))
            stop.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    seen, reads, deadline = set(), 0, time.monotonic() + 300
    try:
        while reads < 30 or len(seen) <= 3:
            reads += 1
            assert time.monotonic() < deadline
            table = frame(sql_reader(uri).wide("tags.`memreg.kind` = 'x'"))
            assert (table["turn"] == table["metric"]).all()
            assert table["turn"].nunique() == 1
            seen.add(table["turn"][0])
    finally:
        stop.set()
        writer.join()


def test_both_queries_see_one_snapshot(tmp_path):
    one_snapshot(f"sqlite:///{tmp_path}/mlflow.db")


def test_postgresql_is_read_alike(postgres):
    uri = postgres.database("odd")
    same_frames(uri, odd_store.fill(connect(uri, create=True)))
    one_snapshot(uri)
    assert re.search(r"[\d.]+ s before, [\d.]+ s after", tune(uri))
    with pytest.raises(MemregError, match="--wal is for SQLite"):
        tune(uri, wal=True)


@pytest.fixture(scope="module")
def mysql():
    """The tracking URI of a MariaDB."""
    need_mariadb()
    server = MariaDb()
    yield server.database("odd")
    server.remove()


def test_mysql_is_read_alike_and_its_drivers_wait_for_each_other(mysql):
    same_frames(mysql, odd_store.fill(connect(mysql, create=True)))
    one_snapshot(mysql)
    assert re.search(r"[\d.]+ s before, [\d.]+ s after", tune(mysql))
    inside, most = [], []

    def enter(i):
        with exclusive(mysql) as alone:
            inside.append(i)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(i)
        return alone

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(enter, range(8)))
    assert most == [1] * 8


def test_tuning_says_what_it_gained(odd, tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(odd[0].removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    before = Registry(uri).cells()
    said = tune(uri)
    assert re.search(r"test accuracy, as the UI asks for them: [\d.]+ s before, [\d.]+ s after", said)
    assert "journal mode delete" in said
    assert "db tune --wal" in said
    with sa.create_engine(uri).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_stat1").scalar() > 5
    assert "journal mode WAL" in tune(uri, wal=True)
    with sa.create_engine(uri).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    pd.testing.assert_frame_equal(Registry(uri).cells(), before)
    for kind in ("nfs4", "cifs", "fuse.sshfs"):
        monkeypatch.setattr("memreg.registry.tuning.file_system", lambda path, kind=kind: kind)
        with pytest.raises(MemregError, match=f"needs a local disk, and .* is on {kind}"):
            tune(uri, wal=True)


def test_file_systems():
    assert file_system(Path("/proc/self/mounts")) == "proc"
    assert file_system(Path("/no/such/place")) == file_system(Path("/"))
