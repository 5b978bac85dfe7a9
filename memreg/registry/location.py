"""A run's artifacts lie where the run says, or else beside the tracking database.

A project directory that is renamed, copied or restored from a backup takes its database and its artifacts
along, and its runs still name the place where they were made. MLflow itself looks only there.
"""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri
from sqlalchemy.engine import make_url

from memreg.errors import MemregError


@dataclass(frozen=True)
class Place:
    """A local artifact directory."""

    root: Path
    """Where to read, and to write what is new."""
    said: Path
    """Where the run says."""
    copy: Path | None = None
    """Its other directory, beside the database, where both are there."""

    def exists(self) -> bool:
        return self.root.is_dir()


def place(tracking_uri: str, run_id: str, artifact_uri: str) -> Place | None:
    """The directory of a run's artifacts; None where they are not on this machine's file system.

    Where the run says, if that is there; else below the database's own directory, by the longest tail of the
    path that is there. A run that has no directory yet gets it in its experiment's, by the same rule.
    """
    if not is_local_uri(artifact_uri):
        return None
    said = Path(local_file_uri_to_path(artifact_uri))
    database = make_url(tracking_uri).database if tracking_uri.startswith("sqlite") else None
    parts = said.parts[1:]
    if not database or run_id not in parts:
        return Place(said, said)
    base, at = Path(database).absolute().parent, parts.index(run_id)
    own = next((path for path in _tails(base, parts, at + 1) if path.is_dir()), None)
    if said.is_dir():
        return Place(said, said, own if own and not own.samefile(said) else None)
    if own is None:
        experiment, rest = Path("/", *parts[:at]), parts[at:]
        there = next((path for path in _tails(base, parts[:at], at) if path.is_dir()), None)
        if there and (not experiment.is_dir() or _share_runs(experiment, there)):
            own = there.joinpath(*rest)
    return Place(own or said, said)


def gone(run_id: str, where: Place) -> MemregError:
    """What to say of a run whose artifacts are not to be found."""
    parts = where.said.parts
    at = parts.index(run_id) if run_id in parts else len(parts) - 1
    old = Path(*parts[: max(1, at - 1)])  # above the experiment's directory
    return MemregError(
        f"run {run_id} has its artifacts in {where.said}, and there is no such directory: if it was moved, "
        f"`memreg relocate {quote(str(old))} NEW` says where to; if it is lost, `mlflow runs delete --run-id "
        f"{run_id}` lets the same command train it anew"
    )


def copied(run_id: str, where: Place) -> MemregError:
    """What to say before a copy of a registry would write into the one that it was copied from."""
    assert where.copy is not None
    old, new = _stems(where.said, where.copy)
    return MemregError(
        f"this registry is a copy: run {run_id} is in {where.copy}, and still names {where.said}, whose "
        f"files are another registry's: `memreg relocate {quote(str(old))} {quote(str(new))}` first"
    )


def _tails(base: Path, parts: tuple[str, ...], count: int) -> list[Path]:
    """`base` with all of the parts behind it, with all but the first, ...: `count` paths."""
    return [base.joinpath(*parts[i:]) for i in range(count)]


def _share_runs(a: Path, b: Path) -> bool:
    """Whether two directories of an experiment are copies: run ids are in both."""
    names = [{path.name for path in directory.iterdir()} for directory in (a, b)]
    return not a.samefile(b) and bool(names[0] & names[1])


def _stems(a: Path, b: Path) -> tuple[Path, Path]:
    """What is left of two paths without their common tail."""
    while a.name == b.name and a.name:
        a, b = a.parent, b.parent
    return a, b
