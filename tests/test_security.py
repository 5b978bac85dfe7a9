"""What docs/security.md promises."""

import ast
import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.exceptions import MlflowException
from parts import ROOT
from studies import bad_input, uri

from analysis.approximation_error import approximation_error
from entrypoints.leave_one_out import leave_one_out
from entrypoints.marginal_utility import marginal_utility
from memreg import options
from memreg.cell import Cell
from memreg.data import load, load_stored
from memreg.data.stored import images_of
from memreg.design import Subsets
from memreg.errors import MemregError
from memreg.grid import check_name, parse_grid
from memreg.recipe import Recipe
from memreg.registry import Registry, Store
from memreg.registry.artifacts import Artifacts
from memreg.registry.leases import Leases
from memreg.registry.shards import read_shard
from memreg.studies.resolved import resolve_like

UNPICKLERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "jsonpickle",
}
CALLS = {"torch.load", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec"}


def unsafe(source):
    """What in a program's text could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)]
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in names if name.partition(".")[0] in UNPICKLERS]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            plain = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)
            if called in CALLS or (called in ("np.load", "numpy.load") and not plain):
                found.append(called)
    return found


def test_nothing_in_memreg_unpickles():
    for bad in (
        "import pickle",
        "from joblib import load",
        "import numpy as np; np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=True)",
        "eval(text)",
    ):
        assert unsafe(bad), bad
    files = [path for name in ("memreg", "entrypoints", "analysis") for path in (ROOT / name).rglob("*.py")]
    assert len(files) > 100
    assert {str(path): found for path in files if (found := unsafe(path.read_text()))} == {}


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """The file that appears if anything of `Evil` is run; the test ends by looking for it."""
    path = tmp_path / "hacked"
    pickle.loads(pickle.dumps(Evil(path)))  # noqa: S301  it does work
    assert path.exists()
    path.unlink()
    yield path
    assert not path.exists()


def evil_files(directory, marker):
    """Files that run code in a reader that unpickles."""
    payload = pickle.dumps(Evil(marker))
    raw = directory / "raw"
    raw.write_bytes(payload)
    objects = directory / "objects"
    with objects.open("wb") as file:
        np.savez(file, train_images=np.array([Evil(marker)], object), member=np.array([Evil(marker)], object))
    extension = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}
    schema = pa.schema([pa.field("score", pa.int64(), metadata=extension)], {b"pandas": payload})
    table = pa.table({"score": [1]}).cast(schema)
    arrow, parquet = directory / "arrow", directory / "parquet"
    with pa.ipc.new_file(str(arrow), schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    return [raw, objects, arrow, parquet]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Puts a complete cell into a registry by hand: `stored(dataset)` is its writer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    store = Store()
    parent = store.open_run("study", "by-hand", {"memreg.study": "by-hand"})

    def put(dataset):
        cell = Cell(
            dataset=dataset, dataset_fingerprint="f" * 64, recipe=Recipe(model="vgg3-w8"), design=Subsets()
        )
        with Leases(store.client, parent.run_id) as leases:
            ((writer, _),) = store.claim([(cell, (), None)], parent, "by-hand", leases)
        writer.artifacts.put("cell.json", lambda path: path.write_text(cell.canonical_json()))
        writer.log(params={"dataset": dataset}, tags={"memreg.status": "complete"})
        return writer

    return put


def described(run_id):
    """What cell.json says, where MLflow's params do not tell the cell."""
    cell = Registry().cell(run_id)
    cell._run.data.params.clear()
    return cell.cell


def test_a_malicious_pickle_is_no_shard_no_data_set_and_no_table(tmp_path, marker, stored):
    writer = stored("digits")
    registry = Registry()
    for evil in evil_files(tmp_path, marker):
        content = evil.read_bytes()
        for name in ("x.arrow", "x.npz", "x.parquet"):
            (tmp_path / name).write_bytes(content)
        with pytest.raises(MemregError):
            read_shard(tmp_path / "x.arrow")
        with pytest.raises(MemregError, match="damaged, or not plain arrays"):
            load(f"npz:{tmp_path}/x.npz")
        for artifact in ("predictions/000000.arrow", "scores.parquet", "examples.parquet", "cell.json"):
            writer.artifacts.put(artifact, lambda path, content=content: path.write_bytes(content))
        for read in (
            registry.predictions,
            registry.scores,
            lambda hash_: registry.cell(hash_).examples,
            described,
        ):
            with contextlib.suppress(MemregError):
                assert read(writer.run_id)["score"].tolist() == [1]
        assert not marker.exists(), evil


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A data set of a user's, `theirs:images`, whose code leaves a file when it runs."""
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    (tmp_path / "theirs.py").write_text(
        "import pathlib\npathlib.Path('ran').touch()\ndef images():\n    return {}\n"
    )
    yield tmp_path / "ran"
    sys.modules.pop("theirs", None)


def test_code_runs_only_if_the_user_names_it_and_never_because_a_registry_does(
    stored, code, monkeypatch, capsys
):
    for dataset in ("theirs:images", "theirs:images+subset=10"):
        cell = stored(dataset).cell
        arguments = ["--cell", cell.hash, "--targets", "random:3"]
        bad_input(monkeypatch, capsys, leave_one_out, *arguments, match="is code, which never runs because")
        with pytest.raises(MemregError, match="is code, which never runs because"):
            resolve_like(cell, [(cell.design, 1)])
        with pytest.raises(MemregError, match=f"name it yourself, by dataset={dataset}".replace("+", r"\+")):
            images_of(cell, None, None)
        bad_input(
            monkeypatch, capsys, leave_one_out, *arguments, "--dataset", "other:code", match="data set is"
        )
        assert not code.exists()
        with pytest.raises(MemregError, match="no train_images"):
            load_stored(dataset, named=dataset)
        assert code.exists()
        code.unlink()
        sys.modules.pop("theirs")
    assert load_stored("digits").n_train == 1297
    with pytest.raises(MemregError, match="must be a folder"):
        load_stored("folder:nothing")


def test_a_dataset_named_beside_dataset_and_model_is_bad_input(stored, monkeypatch, capsys):
    stored("digits")
    arguments = ["--cell", "digits/vgg3-w8", "--targets", "random:3", "--dataset", "digits", "--epochs", "1"]
    bad_input(monkeypatch, capsys, leave_one_out, *arguments, match="names it already")
    for command in (leave_one_out, marginal_utility, approximation_error):
        assert any(parameter.name == "dataset" for parameter in command.params)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", "", "a\nb", "$(x)", "x" * 3 + "\0", ".hidden"]
)
def test_names_that_would_leave_their_place_are_bad_input(name):
    with pytest.raises(MemregError, match="name must be"):
        check_name(name, "study")
    with pytest.raises(MemregError, match="name must be"):
        parse_grid({"name": name, "cells": [{"dataset": "digits", "model": "vgg3-w8"}]}, "grid")


def test_estimators_and_cells_are_no_paths(stored):
    writer = stored("digits")
    registry = Registry()
    for estimator in ("../../../secret", "/etc/passwd", "x/../../y"):
        with pytest.raises(MemregError, match="if there is such an estimator"):
            registry.scores(writer.run_id, estimator=estimator)
    for cell in ("../" * 5, "%%%%%%%", "a' OR 'a' = 'a"):
        with pytest.raises(MemregError):
            registry.cell(cell)


def test_a_server_cannot_make_a_download_leave_its_directory(tmp_path):
    """A hostile server lists artifacts by paths that climb."""
    asked = []

    class Hostile:
        def list_artifacts(self, folder):
            paths = [
                "../../evil.arrow",
                "/etc/evil.arrow",
                f"{folder}/../../evil.arrow",
                "predictions/..arrow",
            ]
            return [SimpleNamespace(path=path) for path in paths]

        def _download_file(self, name, path):
            asked.append(Path(path).resolve().relative_to(artifacts._downloads))
            Path(path).write_bytes(b"")

    artifacts = Artifacts("http://127.0.0.1:1", "run", "mlflow-artifacts:/1/run/artifacts")
    artifacts.__dict__["_remote"] = Hostile()
    names = artifacts.names("predictions", ".arrow")
    assert set(names) == {"predictions/evil.arrow", "predictions/..arrow"}
    for name in names:
        artifacts.get(name)
    assert len(asked) == len(set(names))


NASTY = "a b;touch hacked;$(touch hacked)`touch hacked`|touch hacked&'\"><\\*~#{study}"


def test_project_parameters_with_metacharacters_arrive_as_data(tmp_path):
    """A real `mlflow run`: a data set in a directory of that name is found there, and trained on."""
    directory = tmp_path / NASTY
    directory.mkdir()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (40, 8, 8), np.uint8)
    labels = np.arange(40) % 2
    np.savez(
        directory / "x.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels
    )
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    values = {
        "dataset": f"npz:{directory}/x.npz",
        "model": "vgg3-w4",
        "members": "2",
        "epochs": "1",
        "batch_size": "8",
        "data_dir": NASTY,
        "workers": "1",
    }

    def mlflow_run(**parameters):
        command = ["mlflow", "run", str(ROOT), "-e", "train", "--env-manager", "local"]
        command += [f"-P{key}={value}" for key, value in parameters.items()]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    trained = mlflow_run(**values)
    assert trained.returncode == 0, trained.stderr
    cells = Registry(uri(tmp_path)).cells()
    assert cells["dataset"].tolist() == [values["dataset"]]
    refused = mlflow_run(**values | {"study": NASTY, "model": "--help"})
    assert refused.returncode != 0
    assert "memreg: error:" in refused.stderr
    assert not [*tmp_path.rglob("hacked"), *ROOT.glob("hacked")]


def test_credentials_are_in_no_message_and_no_tag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))

    @click.command()
    def command():
        raise MlflowException("API request to http://me:s3cret@host:5000/api failed\nwith more")

    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit):
        options.run(command)
    err = capsys.readouterr().err
    assert "http://***@host:5000" in err
    assert "me:s3cret" not in err
    origin = {"mlflow.source.git.repoURL": "https://me:s3cret@example.org/x.git", "mlflow.user": "me"}
    monkeypatch.setattr("memreg.registry.store.resolve_tags", lambda: origin)
    run = Store().open_run("study", "x", {})
    tags = mlflow.MlflowClient().get_run(run.run_id).data.tags
    assert tags["mlflow.source.git.repoURL"] == "https://***@example.org/x.git"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    run = Store().open_run("study", "y", {})
    assert "s3cret" not in str(mlflow.MlflowClient().get_run(run.run_id).to_dictionary())
