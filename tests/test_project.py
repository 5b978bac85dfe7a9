"""The project's own files agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

from memreg.grid import DESIGN_KEYS
from memreg.recipe import Recipe

ROOT = Path(__file__).parent.parent


def project():
    return yaml.safe_load((ROOT / "MLproject").read_text())


def test_conda_yaml_installs_what_pyproject_does():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == pyproject


def test_train_has_every_field_of_a_cell_as_a_parameter():
    parameters = project()["entry_points"]["train"]["parameters"]
    assert {"dataset", "members", *Recipe.model_fields, *DESIGN_KEYS} <= parameters.keys()


def test_every_parameter_reaches_its_command():
    for name, entry in project()["entry_points"].items():
        used = re.findall(r"--([a-z-]+) \{([a-z_]+)\}", entry["command"])
        assert {p for _, p in used} == set(entry["parameters"]), name
        assert all(option.replace("-", "_") == p for option, p in used), name
        module = re.search(r"python -m (\S+)", entry["command"])[1]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_main_is_corr_grid():
    entries = project()["entry_points"]
    assert entries["main"] == entries["corr_grid"]


def test_docs_name_every_field_of_a_cell():
    text = (ROOT / "docs" / "grids.md").read_text()
    for name in (*Recipe.model_fields, *DESIGN_KEYS):
        assert f"`{name}`" in text, name
