"""Artifacts of one run, whatever store they lie in."""

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from memreg.errors import MemregError
from memreg.files import write_atomically


class Artifacts:
    """Put and get files by their artifact path. In a local store both happen in place.

    `put` never leaves half a file under its name: MLflow's own copy into a local store could.
    """

    def __init__(self, client: MlflowClient, run_id: str, artifact_uri: str) -> None:
        self._client = client
        self._run_id = run_id
        self._uri = artifact_uri
        local = is_local_uri(artifact_uri)
        self._root = Path(local_file_uri_to_path(artifact_uri)) if local else None
        self._cache: tempfile.TemporaryDirectory[str] | None = None

    def put(self, name: str, write: Callable[[Path], object]) -> None:
        """`write` fills the file at the path that it is given; then the artifact `name` is that file."""
        if self._root is not None:
            write_atomically(self._root / name, write)
            return
        with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
            path = Path(directory) / PurePosixPath(name).name
            write_atomically(path, write)
            folder = str(PurePosixPath(name).parent)
            self._client.log_artifact(self._run_id, str(path), None if folder == "." else folder)
        self._forget(name)

    def get(self, name: str) -> Path:
        """A local path of the artifact: in place, or downloaded once and kept as long as this object."""
        if self._root is not None:
            path = self._root / name
        else:
            if self._cache is None:
                self._cache = tempfile.TemporaryDirectory(prefix="memreg-")
            path = Path(self._cache.name) / name
            if not path.exists():
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._client.download_artifacts(self._run_id, name, str(path.parent))
                except (MlflowException, OSError):
                    path.unlink(missing_ok=True)
        if not path.is_file():
            raise MemregError(
                f"run {self._run_id} has no artifact {name}: its cell is not complete, or it was deleted"
            )
        return path

    def names(self, folder: str, suffix: str) -> list[str]:
        """Artifact paths of the files in `folder` ("" for the top) that end in `suffix`, sorted."""
        if self._root is not None:
            found = [p.name for p in (self._root / folder).glob(f"[!.]*{suffix}")]
        else:
            listed = self._client.list_artifacts(self._run_id, folder or None)
            found = [PurePosixPath(f.path).name for f in listed if f.path.endswith(suffix)]
        return sorted(f"{folder}/{name}" if folder else name for name in found)

    def set_aside(self, name: str) -> None:
        """Take a damaged file out of the way: renamed in a local store, deleted in a remote one."""
        if self._root is not None:
            path = self._root / name
            path.replace(path.with_name(f"{path.name}.damaged"))
        else:
            store = get_artifact_repository(self._uri, tracking_uri=self._client.tracking_uri)
            store.delete_artifacts(name)
            self._forget(name)

    def _forget(self, name: str) -> None:
        if self._cache is not None:
            (Path(self._cache.name) / name).unlink(missing_ok=True)
