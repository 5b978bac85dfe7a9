"""Parts that a machine may lack. A test that needs one is skipped, with its name and what installs it.

With MEMREG_REQUIRE_REAL=1 it fails.
"""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
"""The checkout."""
MODULES = {
    "captum": "captum",
    "cleanlab": "cleanlab",
    "ffcv": "ffcv",
    "mysql": "pymysql",
    "postgres": "psycopg",
    "ray": "ray",
    "zarr": "zarr",
}


def absent(what: str) -> None:
    """Skip the test, or fail it where the real parts are required."""
    if os.environ.get("MEMREG_REQUIRE_REAL") == "1":
        pytest.fail(what)
    pytest.skip(what)


def needs(extra: str) -> None:
    """Go on only where this extra of memreg's is installed."""
    module = MODULES[extra]
    if importlib.util.find_spec(module) is None:
        absent(f"{module} is not installed (pip install -e '.[{extra}]')")
