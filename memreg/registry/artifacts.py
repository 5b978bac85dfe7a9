"""Artifacts of one run, whatever store they lie in."""

import tempfile
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path, PurePosixPath

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from memreg.errors import MemregError
from memreg.files import write_atomically
from memreg.registry.connection import masked, outage
from memreg.registry.location import copied, gone, place


class Artifacts:
    """Put and get files by their artifact path. In a local store both happen in place.

    `put` never leaves half a file under its name: MLflow's own copy into a local store could.
    """

    def __init__(self, tracking_uri: str, run_id: str, artifact_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._run_id = run_id
        self._uri = artifact_uri
        self.place = place(tracking_uri, run_id, artifact_uri)
        self._root = self.place.root if self.place else None

    def check(self) -> None:
        """Raise `MemregError` where the directory that should hold this run's artifacts is gone."""
        if self.place is not None and not self.place.exists():
            raise gone(self._run_id, self.place)

    def check_own(self) -> None:
        """Raise `MemregError` where what is written would go into the files of another registry."""
        if self.place is not None and self.place.copy is not None:
            raise copied(self._run_id, self.place)

    def put(self, name: str, write: Callable[[Path], object]) -> None:
        """`write` fills the file at the path that it is given; then the artifact `name` is that file."""
        self.check_own()
        if self._root is not None:
            write_atomically(self._root / name, write)
            return
        with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
            path = Path(directory) / PurePosixPath(name).name
            write(path)
            folder = str(PurePosixPath(name).parent)
            self._remote.log_artifact(str(path), None if folder == "." else folder)
        self.forget(name)

    def get(self, name: str) -> Path:
        """A local path of the artifact: in place, or downloaded.

        Shards, which do not change, are downloaded once and kept as long as this object.
        """
        if self._root is not None:
            path = self._root / name
            if not path.is_file():
                self.check()
                raise self._missing(name, "")
            return path
        path = self._downloads / name
        if path.suffix != ".arrow" or not path.exists():
            part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")  # another thread may ask for the same
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._remote._download_file(name, str(part))  # download_artifacts would list first, each time
                part.replace(path)
            except (MlflowException, OSError) as error:
                part.unlink(missing_ok=True)
                if outage(error) and "404 Client Error" not in str(error):  # MLflow gives both one code
                    raise
                reason = str(error).strip().splitlines()[-1]
                raise self._missing(name, f" ({masked(reason)})") from error
        return path

    def names(self, folder: str, suffix: str) -> list[str]:
        """Artifact paths of the files in `folder` ("" for the top) that end in `suffix`, sorted."""
        if self._root is not None:
            found = [p.name for p in (self._root / folder).glob(f"[!.]*{suffix}")]
        else:
            listed = self._remote.list_artifacts(folder or None)
            found = [PurePosixPath(f.path).name for f in listed if f.path.endswith(suffix)]
        return sorted(f"{folder}/{name}" if folder else name for name in found)

    def set_aside(self, name: str) -> None:
        """Take a damaged file out of the way, by the name `<name>.damaged`."""
        if self._root is not None:
            (self._root / name).replace(self._root / f"{name}.damaged")
            return
        damaged = self.get(name).read_bytes()
        self.put(f"{name}.damaged", lambda path: path.write_bytes(damaged))
        self._remote.delete_artifacts(name)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Download it anew when it is next asked for."""
        if self._root is None:
            (self._downloads / name).unlink(missing_ok=True)

    @cached_property
    def _remote(self) -> ArtifactRepository:
        return get_artifact_repository(self._uri, tracking_uri=self._tracking_uri)

    @cached_property
    def _directory(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="memreg-")

    @property
    def _downloads(self) -> Path:
        return Path(self._directory.name)

    def _missing(self, name: str, reason: str) -> MemregError:
        return MemregError(
            f"run {self._run_id} has no artifact {name}: its cell is not complete, or it was deleted{reason}"
        )
