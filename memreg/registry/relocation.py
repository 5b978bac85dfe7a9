"""`memreg relocate OLD NEW`: what a tracking database says of where artifacts lie, changed all at once."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri
from sqlalchemy.exc import DBAPIError

from memreg.errors import MemregError
from memreg.registry.connection import connect, masked, one_line

LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Table and column of every location that MLflow keeps, where a database has it."""
TRACES = ("trace_tags", "value", "mlflow.artifactLocation")


@dataclass(frozen=True)
class Relocated:
    """Locations that were changed, by table."""

    counts: dict[str, int]
    missing: int
    """Runs among them whose directory is not there."""

    def in_words(self) -> str:
        said = ", ".join(f"{table.replace('_', ' ')} {n}" for table, n in self.counts.items() if n)
        rest = f"; {self.missing} of these runs have no directory there" if self.missing else ""
        return f"locations changed: {said}{rest}"


def relocate(old: str, new: str, tracking_uri: str | None = None) -> Relocated:
    """Let every location below `old` be the same place below `new`, in one transaction.

    Both are directories, the working directory's if relative, or URIs. Raises `MemregError`, with nothing
    changed, where nothing lies below `old`, `new` is no directory, or the store is behind a server.
    """
    client = connect(tracking_uri)
    uri = str(client.tracking_uri)
    if uri.startswith("http"):
        raise MemregError(
            f"{masked(uri)} is a server: relocate in the database behind it, with the URI that "
            "`mlflow server --backend-store-uri` was given"
        )
    moved = _mover(old, new)
    engine = create_sqlalchemy_engine(uri)
    try:
        with engine.begin() as connection:
            return _relocate(connection, moved, old)
    except DBAPIError as error:
        raise MemregError(f"{masked(uri)} was not changed: {one_line(error)}") from error
    finally:
        engine.dispose()


Moved = Callable[[str], str | None]
"""From a location to its new one; None where it does not lie below the old directory."""


def _mover(old: str, new: str) -> Moved:
    if not old or not new:
        raise MemregError("relocate needs two directories: what runs name now, and where that is")
    if _is_uri(old) != _is_uri(new):
        raise MemregError(f"{masked(old)} and {masked(new)}: either two directories, or two URIs")
    if _is_uri(old):
        a, b = old.rstrip("/"), new.rstrip("/")
        return lambda location: b + location[len(a) :] if _below(location, a) else None
    a, b = _absolute(old), _absolute(new)
    if not Path(b).is_dir():
        raise MemregError(f"there is no directory {b}: relocate to where the artifacts are")

    def moved(location: str) -> str | None:
        if not is_local_uri(location):
            return None
        path = os.path.normpath(local_file_uri_to_path(location))
        if not _below(path, a):
            return None
        to = b.rstrip("/") + path[len(a.rstrip("/")) :]
        return f"file://{quote(to)}" if location.startswith("file:") else to

    return moved


def _relocate(connection: sa.Connection, moved: Moved, old: str) -> Relocated:
    there = sa.inspect(connection)
    counts, seen, missing = Counter[str](), Counter[str](), 0
    for name, column_name, *key in (*LOCATIONS, TRACES):
        if not there.has_table(name):
            continue
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        if column_name not in table.c:
            continue
        column = table.c[column_name]
        where = table.c["key"] == key[0] if key else sa.true()
        for (location,) in connection.execute(
            sa.select(column).where(where, column.is_not(None)).distinct()
        ).all():
            to = moved(location)
            if to is None:
                seen[_head(location)] += 1
                continue
            length = getattr(column.type, "length", None)
            if length and len(to) > length:
                raise MemregError(f"{to}: MLflow keeps {length} characters at most; nothing is changed")
            update = table.update().where(where, column == location).values({column: to})
            counts[name] += connection.execute(update).rowcount
            if name == "runs" and is_local_uri(to):
                missing += not Path(local_file_uri_to_path(to)).is_dir()
    if not counts.total():
        known = ", ".join(head for head, _ in seen.most_common(3)) or "nowhere"
        raise MemregError(f"no artifacts lie below {masked(old)}, they lie below {masked(known)}")
    return Relocated(dict(counts), missing)


def _is_uri(text: str) -> bool:
    return "://" in text and not text.startswith("file://")


def _absolute(text: str) -> str:
    path = unquote(urlsplit(text).path) if text.startswith("file:") else text
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100  links stay what runs say


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _head(location: str) -> str:
    """A location without its run: what may be given as OLD."""
    return location.split("/mlruns/")[0] if "/mlruns/" in location else location
