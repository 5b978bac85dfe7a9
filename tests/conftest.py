"""What several tests need."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from parts import ROOT, absent
from servers import MlflowServer, Postgres, need_postgres
from studies import PLANTED, PLANTED_RECIPE, program, run, tiny, uri

from memreg.cli import memreg
from memreg.data.cache import locked
from memreg.registry import Registry
from memreg.studies.study import Outcome

settings.register_profile("memreg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memreg")

os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""Whatever a test starts by name is this environment's, activated or not."""

SLOW_FIXTURES = {
    "cifar10_dir",
    "done",
    "here",
    "mlflow_server",
    "nineteen",
    "planted",
    "postgres",
    "server",
    "source",
    "tool",
    "trained",
}
"""What takes seconds to make: a test that uses one is not of the fast subset."""
SLOW_FILES = (
    "faults/",
    "studies/",
    "engines/",
    "search/",
    "show/",
    "questions/",
    "models/",
    "scoring/",
    "testing/",
    "exchange/test_archive",
    "exchange/test_exchange",
    "data/test_ffcv",
    "data/test_sharing",
    "data/test_cache",
    "registry/test_connection",
    "registry/test_leases",
    "registry/test_outages",
    "registry/test_moved",
    "registry/test_older",
    "registry/test_requests",
    "registry/test_shared_server",
    "registry/test_labels_stored",
    "registry/test_reading",
    "test_bad_input",
    "test_extend",
    "test_fusion",
    "test_interruption",
    "test_observers",
    "test_precision",
    "test_security",
    "test_tour",
    "test_training",
    "test_wheel",
    "estimators/test_correlation",
    "estimators/test_identity",
    "estimators/test_over_cells",
    "estimators/test_trajectories",
    "estimators/test_shrunk",
    "estimators/test_mixture",
    "estimators/test_memorized_set",
    "estimators/test_datamodel",
    "estimators/test_membership",
    "estimators/test_scores",
    "estimators/test_utility",
    "estimators/test_leaderboard",
    "estimators/test_leave_one_out",
)
"""Files and folders whose tests are not of the fast subset."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SLOW_FIXTURES or path.startswith(SLOW_FILES):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cifar10_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the real CIFAR-10 in torchvision's own files, to be read only.

    Unpacked from what lies beside the checkout, once for all workers. Skipped where that is not
    there, unless MEMREG_REQUIRE_REAL=1.
    """
    unpack = ROOT.parent / "shared" / "data" / "cifar10" / "unpack.py"
    if not unpack.is_file():
        absent(f"real CIFAR-10 is not beside this checkout: there is no {unpack}")
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real-cifar10"
    with locked(root):
        subprocess.run([sys.executable, str(unpack), str(root)], check=True)
    return root


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A finished study of `studies.TINY`: its directory, and what it answered. To be read only."""
    directory = tmp_path_factory.mktemp("study")
    with contextlib.chdir(directory):
        return directory, run(tiny(), directory)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(directory, hash of a finished cell of 60 members on subsets of a planted set)."""
    directory = tmp_path_factory.mktemp("planted")
    with contextlib.chdir(directory):
        grid = tiny(members=60, cells=[{"dataset": PLANTED, **PLANTED_RECIPE}])
        return directory, run(grid, directory, "subsets").cells["cell"][0]


@pytest.fixture
def tool(planted, monkeypatch, capsys):
    """(the planted cell, a function that runs a command there as a program and gives its output)."""
    directory, cell = planted
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(directory))
    return cell, lambda *words: program(monkeypatch, capsys, *words)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL, whose databases are the tests'."""
    need_postgres()
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[MlflowServer]:
    """`mlflow server` on a PostgreSQL database, with a password and proxied artifacts."""
    directory = tmp_path_factory.mktemp("server")
    server = MlflowServer(directory, postgres.database(f"behind_{directory.name}"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def source(done):
    """The registry that cells are exported from."""
    return Registry(uri(done[0]))


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Runs `memreg` in an empty directory, with an empty registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    return lambda *arguments: program(monkeypatch, capsys, memreg, *map(str, arguments))
