"""The project's own files agree with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module

import click
import pytest
import yaml
from parts import ROOT
from studies import bad_input

from memreg.cli import PROGRAMS, memreg
from memreg.grid import DESIGN_KEYS
from memreg.recipe import Recipe


def project():
    return yaml.safe_load((ROOT / "MLproject").read_text())


def test_conda_yaml_installs_what_pyproject_does():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text())["dependencies"][-1]["pip"]
    assert conda == pyproject


def test_a_wheel_has_every_file_that_is_no_program():
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = ROOT / "memreg"
    there = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert there == {path for pattern in packaged["memreg"] for path in package.glob(pattern)}


def command(entry):
    """The click command that an entry point runs."""
    module = import_module(re.search(r"python -m (\S+)", entry["command"])[1])
    (found,) = {value for value in vars(module).values() if isinstance(value, click.Command)}
    return found


def test_mlproject_is_short():
    assert len((ROOT / "MLproject").read_text().splitlines()) <= 70


@pytest.mark.parametrize("name", project()["entry_points"])
def test_what_mlproject_declares_is_what_the_program_takes(name):
    """Each parameter is passed on by its name; what is required there is declared without a default, and a
    default that is declared is the program's own."""
    entry = project()["entry_points"][name]
    taken = {option.name: option for option in command(entry).params}
    passed = re.findall(r"(--\w+)? \{(\w+)\}", entry["command"])
    assert [name for _, name in passed] == [*entry["parameters"]]
    for spelling, name in passed:
        assert spelling == ("" if isinstance(taken[name], click.Argument) else f"--{name}")
    required = {key for key, value in entry["parameters"].items() if isinstance(value, str)}
    assert required == {key for key, option in taken.items() if option.required}
    for key in entry["parameters"].keys() - required:
        assert f"[default: {entry['parameters'][key]['default']}]" in taken[key].help


def test_every_entry_point_is_a_question_of_its_name():
    names = {name for name in project()["entry_points"] if name != "main"}
    questions = {path.stem for path in (ROOT / "memreg" / "questions").glob("[a-z]*.py")}
    programs = {
        path.stem for folder in ("entrypoints", "analysis") for path in (ROOT / folder).glob("[a-z]*.py")
    }
    assert names == programs == questions - {"remove"}  # which is a command of memreg alone


def test_memreg_runs_every_entry_point_and_says_in_short_what_each_command_does():
    entries = {name: command(entry) for name, entry in project()["entry_points"].items() if name != "main"}
    context = click.Context(memreg)
    for name in PROGRAMS:
        found = memreg.get_command(context, name)
        assert found.name == name
        assert PROGRAMS[name].help.endswith(".")
        assert len(PROGRAMS[name].help) <= 60, "it is one line at 80 columns"
        assert entries.pop(name, found) is found
    assert not entries


def test_help_and_bad_words_need_neither_torch_nor_mlflow():
    for words, said in (
        (["--help"], "corr_grid"),
        (["trian"], "there is no command trian: did you mean train?"),
        (["--studdy"], "there is no --studdy"),
    ):
        code = f"import sys; sys.argv = ['memreg', *{words}]; from memreg.cli import main\n"
        code += "try: main()\nfinally: assert not {'torch', 'mlflow'} & sys.modules.keys()"
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert said in process.stdout + process.stderr
        assert "Traceback" not in process.stderr


def test_train_takes_every_field_of_a_cell():
    taken = {option.name for option in command(project()["entry_points"]["train"]).params}
    assert {"dataset", "members", *Recipe.model_fields, *DESIGN_KEYS} <= taken


@pytest.mark.parametrize("name", project()["entry_points"])
def test_every_option_is_explained_and_has_both_spellings(name):
    found = command(project()["entry_points"][name])
    context = found.context_class(found, **found.context_settings)
    arguments = ["x" for argument in found.params if isinstance(argument, click.Argument)]
    options = [option for option in found.params if isinstance(option, click.Option)]
    for option in options:
        assert option.help, option.name
        values = {o.name: "x" for o in options if o.required} | {option.name: "x"}
        for spelling in (option.name, option.name.replace("_", "-")):
            words = [
                w for key, v in values.items() for w in (f"--{spelling if key == option.name else key}", v)
            ]
            assert found.make_parser(context).parse_args([*words, *arguments])[0][option.name] == "x"


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("train", "epoch", "--epochs"),
        ("train", "batchsize", "--batch-size"),
        ("corr_grid", "member", "--members"),
        ("leave_one_out", "target", "--targets"),
        ("marginal_utility", "threshold", "--thresholds"),
        ("correlation", "statistics", "--statistic"),
        ("influence", "cells", "--cell"),
    ],
)
def test_a_mistyped_parameter_is_refused_with_the_nearest(monkeypatch, capsys, name, wrong, right):
    found = command(project()["entry_points"][name])
    required = [w for o in found.params if o.required and o.name != right[2:] for w in (f"--{o.name}", "x")]
    line = bad_input(monkeypatch, capsys, found, f"--{wrong}", "3", *required)
    assert f"did you mean {right}?" in line


def test_every_estimator_is_in_the_packages_list():
    folder = ROOT / "memreg" / "estimators"
    listed = set(re.findall(r"`(\w+)`", (folder / "__init__.py").read_text()))
    assert listed == {path.stem for path in folder.glob("[a-z]*.py")}


def test_no_function_takes_more_than_six_parameters():
    """But for click's commands, whose options are theirs."""
    crowded = []
    for path in sorted((ROOT / "memreg").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not any(map(is_command, node.decorator_list)):
                a = node.args
                names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
                if len([n for n in names if n not in ("self", "cls")]) > 6:
                    crowded.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert crowded == []


def is_command(decorator):
    return isinstance(decorator, ast.Call) and getattr(decorator.func, "attr", "") == "command"


def test_main_is_corr_grid():
    entries = project()["entry_points"]
    assert entries["main"] == entries["corr_grid"]


def test_docs_name_every_field_of_a_cell():
    text = (ROOT / "docs" / "grids.md").read_text()
    for name in (*Recipe.model_fields, *DESIGN_KEYS):
        assert f"`{name}`" in text, name
