"""`memreg db tune`: statistics for the database's planner, which MLflow never asks for.

Without them SQLite and PostgreSQL guess: at 62,000 runs a page of runs sorted by a metric took 150 s,
and 0.7 s with them.
"""

import time
from pathlib import Path

import sqlalchemy as sa
from mlflow.store.db.utils import create_sqlalchemy_engine
from sqlalchemy.exc import DBAPIError

from memreg.errors import MemregError
from memreg.registry.api import Api
from memreg.registry.connection import connect, masked, one_line

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")
REMOTE = (
    "nfs",
    "nfs4",
    "cifs",
    "smb",
    "smb2",
    "smb3",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
)
"""File systems on which SQLite's write-ahead log is not safe; those of FUSE are taken for such too."""


def tune(tracking_uri: str | None, wal: bool = False) -> str:
    """Analyse the database behind a tracking URI, and say what that gained.

    wal: also switch SQLite to its write-ahead log, so that readers and the writer do not wait for each
    other. It needs a local disk, and stays until someone switches it off.
    """
    client = connect(tracking_uri)
    uri = client.tracking_uri
    if uri.startswith("http"):
        raise MemregError(
            f"{masked(uri)} is a server: tune the database behind it, with the URI that `mlflow server "
            "--backend-store-uri` was given"
        )
    engine = create_sqlalchemy_engine(uri)
    dialect = engine.dialect.name
    if wal and dialect != "sqlite":
        raise MemregError(f"--wal is for SQLite: {dialect} has its own write-ahead log")
    path = Path(engine.url.database or "").resolve()
    if wal and (kind := file_system(path)).startswith((*REMOTE, "fuse")):
        raise MemregError(
            f"--wal needs a local disk, and {path.parent} is on {kind}: readers could see damage"
        )
    api = Api(client)
    try:
        before = _page_seconds(api)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _analyse(connection, dialect)
            journal = _journal(connection, wal) if dialect == "sqlite" else ""
        after = _page_seconds(api)
    except DBAPIError as error:
        raise MemregError(f"{masked(uri)} cannot be tuned: {one_line(error)}") from error
    lines = [
        f"{masked(uri)}: statistics are up to date",
        f"100 runs by test accuracy, as the UI asks for them: {before:.3f} s before, {after:.3f} s after",
        journal,
    ]
    return "\n".join(line for line in lines if line)


def file_system(path: Path) -> str:
    """Type of the file system that a path lies on, as /proc/mounts calls it; "" where there is none such."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    points = {Path(point.encode().decode("unicode_escape")): kind for point, kind in mounts}
    return next((points[p] for p in (path, *path.parents) if p in points), "")


def _analyse(connection: sa.Connection, dialect: str) -> None:
    if dialect == "sqlite":
        connection.exec_driver_sql("ANALYZE")
        return
    for table in TABLES:
        connection.exec_driver_sql(f"ANALYZE {'TABLE ' if dialect == 'mysql' else ''}{table}")


def _journal(connection: sa.Connection, wal: bool) -> str:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if wal and mode != "wal":
        mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
    if mode == "wal":
        return "journal mode WAL: readers and the writer do not wait for each other"
    return (
        f"journal mode {mode}: readers and the writer wait for each other. `memreg db tune --wal` switches "
        "to the write-ahead log, if all who use this file do so from this machine"
    )


def _page_seconds(api: Api) -> float:
    start = time.perf_counter()
    api.page("", "metrics.`test_accuracy` DESC", 100)
    return time.perf_counter() - start
