"""Reaching a tracking server or database, or saying in one line why not."""

import os
import re
import socket
import uuid
import warnings
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient, get_tracking_uri
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from memreg.errors import MemregError

SECONDS = 5  # MLflow itself would go on trying for minutes


def connect(tracking_uri: str | None = None, create: bool = False) -> MlflowClient:
    """A client of `tracking_uri` (default: MLflow's own), once it has answered.

    An SQLite database that does not exist is an error, unless `create`.
    """
    uri = tracking_uri or get_tracking_uri()
    if create:
        create_database(uri)
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https"):
        _reach_server(uri)
    elif scheme.partition("+")[0] in ("sqlite", "postgresql", "mysql", "mssql"):
        _reach_database(uri)
    else:
        raise MemregError(
            f"tracking URI {masked(uri)} is not one that memreg can use: sqlite:///FILE, "
            "postgresql://..., mysql://... or http(s)://HOST:PORT"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
    except (MlflowException, DBAPIError) as error:
        raise MemregError(
            f"tracking URI {masked(uri)} does not answer as MLflow: {one_line(error)}"
        ) from error
    return client


def create_database(tracking_uri: str | None = None) -> None:
    """Create an SQLite tracking database, unless there is one, completely or not at all.

    MLflow creates its tables in place, by some fifty migrations: killed in the middle it leaves a file with
    which neither it nor anyone can go on.
    """
    uri = tracking_uri or get_tracking_uri()
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "")
    if not path.parent.is_dir() or (path.exists() and path.stat().st_size > 0):
        return
    path.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def masked(uri: str) -> str:
    """The URI without the credentials that it may carry."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def one_line(error: BaseException) -> str:
    """The first line of an error's message, without credentials."""
    return masked((str(error).strip().splitlines() or [type(error).__name__])[0])


def _reach_server(uri: str) -> None:
    parts = urlsplit(uri)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS).close()
    except OSError as error:
        raise MemregError(
            f"tracking URI {masked(uri)} does not answer ({error}): is `mlflow server` running there?"
        ) from error


def _reach_database(uri: str) -> None:
    try:
        url = make_url(uri)
        if url.drivername.startswith("sqlite"):
            path = Path(url.database or "")
            if not path.parent.is_dir():
                raise MemregError(f"tracking URI {uri}: there is no directory {path.parent}")
            if not path.exists() or path.stat().st_size == 0:
                raise MemregError(f"tracking URI {uri}: no database yet; `make corr_grid` makes one")
            arguments = {}
        else:
            arguments = {"connect_timeout": SECONDS}
        engine = create_engine(url, connect_args=arguments)
        with engine.connect() as connection:
            if url.drivername.startswith("sqlite"):
                connection.exec_driver_sql("PRAGMA schema_version")
        engine.dispose()
    except (ArgumentError, NoSuchModuleError, ImportError, DBAPIError) as error:
        raise MemregError(f"tracking URI {masked(uri)} does not answer: {one_line(error)}") from error


def environment_run_id() -> str | None:
    """The run that `mlflow run` opened for this process."""
    return os.environ.get("MLFLOW_RUN_ID") or None
