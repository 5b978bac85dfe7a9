"""`pip install memreg` from a wheel suffices: every command runs in any directory, without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from parts import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What runs `memreg` of a wheel, in an empty directory, with the libraries of this environment."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    shutil.copytree(ROOT / "memreg", source / "memreg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, source]
    subprocess.run(pip, check=True, capture_output=True)
    (wheel,) = directory.glob("memreg-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "site")
    here = directory / "elsewhere"
    here.mkdir()
    environment = os.environ | {"PYTHONPATH": str(directory / "site")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    code = "import memreg, memreg.cli; assert 'site' in memreg.__file__; memreg.cli.main()"

    def memreg(*words):
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)

    return memreg


def test_a_grid_is_trained_and_queried(installed):
    process = installed("corr_grid", "--grid", "smoke")
    assert process.returncode == 0, process.stderr
    assert "RuntimeWarning" not in process.stderr, process.stderr
    cells = installed("cells", "--study", "smoke", "--csv").stdout.splitlines()
    assert len(cells) == 1 + 4
    again = installed("correlation", "--study", "smoke")
    assert again.returncode == 0, again.stderr
    explained = installed("train", "--help")
    assert "--weight-decay" in explained.stdout
