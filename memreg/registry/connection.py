"""Reaching a tracking server or database, or saying in one line why not."""

import errno
import fcntl
import os
import re
import socket
import sqlite3
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient, get_tracking_uri
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from requests.utils import get_environ_proxies, select_proxy
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from memreg.errors import MemregError, OutageError

SECONDS = 5  # MLflow itself would go on trying for minutes
PATIENCE = 60  # seconds that an SQLite database may be locked by others; MLflow's own sessions wait for 20
ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE)
UNAVAILABLE = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "PERMISSION_DENIED", "UNAUTHENTICATED")
LOCKS = {
    "postgresql": (
        "SELECT pg_advisory_lock(hashtext('memreg'))",
        "SELECT pg_advisory_unlock(hashtext('memreg'))",
    ),
    "mysql": ("SELECT GET_LOCK('memreg', 600)", "SELECT RELEASE_LOCK('memreg')"),
}


def connect(tracking_uri: str | None = None, create: bool = False) -> MlflowClient:
    """A client of `tracking_uri` (default: MLflow's own), once it has answered.

    A database without MLflow's tables is an error, unless `create`.
    """
    uri = tracking_uri or get_tracking_uri()
    scheme = _scheme(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if scheme in ("http", "https"):
            _reach_server(uri)
            return _first_answer(uri)
        if scheme.partition("+")[0] in ("sqlite", "postgresql", "mysql", "mssql"):
            with _reached(uri, create) as engine, alone(engine):
                if create:
                    _create_sqlite(engine)
                elif not inspect(engine).has_table("experiments"):
                    raise _no_database(uri)
                return _first_answer(uri)
    raise MemregError(
        f"tracking URI {masked(uri)} is not one that memreg can use: sqlite:///FILE, "
        "postgresql://..., mysql://... or http(s)://HOST:PORT"
    )


def _scheme(uri: str) -> str:
    try:
        scheme, _ = urlsplit(uri).scheme, urlsplit(uri).port
    except ValueError as error:  # brackets without end, a port that is no number
        raise MemregError(f"tracking URI {masked(uri)} is not valid: {one_line(error)}") from error
    return scheme


def _first_answer(uri: str) -> MlflowClient:
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, DBAPIError) as error:
        raise MemregError(
            f"tracking URI {masked(uri)} does not answer as MLflow: {one_line(error)}"
        ) from error
    return client


def masked(text: str) -> str:
    """A text with a URI in it, without the credentials that it may carry."""
    text = re.sub(r"^([\w+]+://).*@", r"\1***@", text)  # a URI alone: nothing of it may be part of a sentence
    text = re.sub(r"//\S*@", "//***@", text)
    return re.sub(r"((?:password|passwd|pwd|token|secret|key)=)[^&\s'\"]*", r"\1***", text, flags=re.I)


def one_line(error: BaseException) -> str:
    """The first line of an error's message, without credentials."""
    return masked((str(error).strip().splitlines() or [type(error).__name__])[0])


def outage(error: BaseException) -> OutageError | None:
    """What to say where an error is a disk's, a database's or a server's; None where it is none of these."""
    why = _failed(error)
    return OutageError(f"{why}; what is stored is kept; run the same command again to go on") if why else None


@contextmanager
def outages() -> Iterator[None]:
    """Raises an `OutageError` in place of an error that is one."""
    try:
        yield
    except Exception as error:
        if why := outage(error):
            raise why from error
        raise


def _failed(error: BaseException) -> str | None:
    if error.__cause__ and (why := _failed(error.__cause__)):
        return why
    if isinstance(error, OperationalError | InterfaceError):
        return f"the database failed: {one_line(error.orig or error)}"
    if isinstance(error, sqlite3.OperationalError):
        return f"the database failed: {one_line(error)}"
    if isinstance(error, RequestException):
        status = 503 if error.response is None else error.response.status_code
        return one_line(error).partition(" (Caused by")[0] if status >= 500 else None
    if isinstance(error, OSError):
        return one_line(error) if error.errno in ERRNOS or isinstance(error, ConnectionError) else None
    if isinstance(error, MlflowException) and error.error_code in UNAVAILABLE:
        return f"MLflow: {one_line(error).partition(' (Caused by')[0]}"
    return None


def _reach_server(uri: str) -> None:
    """A server must answer, or the proxy that requests, and so MLflow, goes through to it."""
    proxy = select_proxy(uri, get_environ_proxies(uri, no_proxy=None))
    parts = urlsplit(proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS).close()
    except (OSError, UnicodeError) as error:
        what = f"through the proxy {masked(proxy)} " if proxy else ""
        hint = "set NO_PROXY, or the right HTTP_PROXY" if proxy else "is `mlflow server` running there?"
        raise MemregError(f"tracking URI {masked(uri)} {what}does not answer ({error}): {hint}") from error


@contextmanager
def _reached(uri: str, create: bool) -> Iterator[Engine]:
    try:
        url = make_url(uri)
        if url.drivername.startswith("sqlite"):
            path = Path(url.database or "")
            if not path.parent.is_dir():
                raise MemregError(f"tracking URI {uri}: there is no directory {path.parent}")
            if not create and not path.exists():
                raise _no_database(uri)
            engine = create_engine(url, connect_args={"timeout": PATIENCE})
        else:
            engine = create_engine(url, connect_args={"connect_timeout": SECONDS})
        try:
            yield engine
        finally:
            engine.dispose()
    except (ArgumentError, NoSuchModuleError, DBAPIError, UnicodeError) as error:
        raise MemregError(f"tracking URI {masked(uri)} does not answer: {one_line(error)}") from error
    except ImportError as error:
        raise MemregError(
            f"tracking URI {masked(uri)} cannot be used: {one_line(error)}: pip install 'memreg[postgres]', "
            "'memreg[mysql]' or the driver of your database"
        ) from error


def _no_database(uri: str) -> MemregError:
    return MemregError(f"tracking URI {masked(uri)}: no database yet; `memreg corr_grid` makes one")


def _create_sqlite(engine: Engine) -> None:
    """Create an SQLite tracking database, unless there is one, completely or not at all.

    MLflow creates its tables in place, by some fifty migrations: killed in the middle it leaves a file with
    which neither it nor anyone can go on.
    """
    if engine.dialect.name != "sqlite":
        return
    path = Path(engine.url.database or "")
    if path.exists() and path.stat().st_size > 0:
        inspect(engine).has_table("experiments")  # an error where this is no database
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
        path.unlink(missing_ok=True)
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def exclusive(uri: str) -> Iterator[bool]:
    """One driver of this tracking store at a time in here; False where nothing is exclusive: over HTTP, and
    on databases whose locks memreg does not know."""
    if uri.startswith("http"):
        yield False
    else:
        with _reached(uri, create=False) as engine, alone(engine):
            yield engine.dialect.name in ("sqlite", *LOCKS)


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """One process of memreg at a time: two that create tables together would both fail, two that look for a
    cell before either has created it would both create it. Not to be nested."""
    dialect = engine.dialect.name
    if dialect == "sqlite":
        descriptor = os.open(Path(engine.url.database or "").parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
        return
    lock, unlock = LOCKS.get(dialect, ("SELECT 1", "SELECT 1"))
    with engine.connect() as connection:
        connection.exec_driver_sql(lock)
        try:
            yield
        finally:
            connection.exec_driver_sql(unlock)


def environment_run_id() -> str | None:
    """The run that `mlflow run` opened for this process."""
    return os.environ.get("MLFLOW_RUN_ID") or None
