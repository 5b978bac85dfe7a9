"""Optuna keeps a study beside the tracking database.

Not in it: Optuna and MLflow both call a table `alembic_version`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from mlflow import get_tracking_uri
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from memreg.errors import MemregError
from memreg.registry.connection import PATIENCE, SECONDS, alone, masked, one_line

SCHEMA = "optuna"
LOCAL = "sqlite:///optuna.db"


def storage_url(tracking_uri: str | None = None) -> str:
    """Give the URL of the storage that goes with a tracking URI.

    `FILE.db` has it in `FILE.optuna.db`, a PostgreSQL database in its schema `optuna`; a server's clients
    and all others have it in `optuna.db` in the working directory.
    """
    uri = tracking_uri or get_tracking_uri()
    if uri.startswith("sqlite"):
        url = make_url(uri)
        return str(url.set(database=str(Path(url.database or "").with_suffix(".optuna.db"))))
    if uri.startswith("postgresql"):
        url = make_url(uri).update_query_dict({"options": f"-csearch_path={SCHEMA}"})
        return url.render_as_string(hide_password=False)
    return LOCAL


def open_storage(url: str) -> RDBStorage:
    """A storage, with its tables made where they are missing."""
    try:
        engine = _engine(url)
        folder = Path(engine.url.database or "").parent
        if engine.dialect.name == "sqlite" and not folder.is_dir():
            raise MemregError(f"storage {url}: there is no directory {folder}")
        with alone(engine):
            if engine.url.query.get("options") == f"-csearch_path={SCHEMA}":
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            return RDBStorage(url, {"connect_args": _patience(engine)})
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        raise MemregError(f"storage {masked(url)} does not work for Optuna: {one_line(error)}") from error


@contextmanager
def exclusively(storage: RDBStorage) -> Iterator[None]:
    """Other drivers of this storage wait."""
    with alone(_engine(storage.url)):
        yield


def _engine(url: str) -> sa.Engine:
    """Make an engine with connections of its own: one that holds a lock must not be handed to anyone else."""
    return sa.create_engine(url, poolclass=sa.NullPool)


def _patience(engine: sa.Engine) -> dict[str, int]:
    return {"timeout": PATIENCE} if engine.dialect.name == "sqlite" else {"connect_timeout": SECONDS}
