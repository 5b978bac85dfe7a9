"""Bad input: one clear line on stderr, exit status 2, no traceback, no run and no file left behind."""

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import mlflow
import numpy as np
import pytest
from parts import ROOT, needs
from servers import free_port

from memreg import options
from memreg.cli import memreg


def command(name):
    if name == "memreg":
        return memreg
    package = "entrypoints" if (ROOT / "entrypoints" / f"{name}.py").exists() else "analysis"
    module = importlib.import_module(f"{package}.{name}")
    (found,) = (value for value in vars(module).values() if isinstance(value, click.Command))
    return found


TRAIN = ["--dataset", "digits", "--model", "vgg3-w8"]
RANGE = ["--dataset", "digits", "--low", "0.8", "--high", "0.9"]
CASES = [
    ("corr_grid", ["--grid", "digit"], "unknown grid 'digit': did you mean digits.* choose .*digits"),
    ("corr_grid", ["--grid", "digitz"], "did you mean digits"),
    ("corr_grid", ["--grid", "missing.yaml"], "missing.yaml cannot be read.*memreg's own are .*smoke"),
    ("corr_grid", ["--grid", "list.yaml"], "mapping"),
    ("corr_grid", ["--grid", "broken.yaml"], "not YAML"),
    ("corr_grid", ["--grid", "key.yaml"], "did you mean epochs"),
    ("corr_grid", ["--members", "abc"], "members: should be a valid integer, not 'abc'"),
    ("corr_grid", ["--members", "0"], "members: should be greater than or equal to 1, not '0'"),
    ("corr_grid", ["--members", "-3"], "greater than or equal to 1, not '-3'"),
    ("corr_grid", ["--workers", "many"], "workers"),
    ("corr_grid", ["--threads", "0"], "threads"),
    ("corr_grid", ["--grid", "smoke", "--device", "tpu"], "unknown device 'tpu'"),
    ("corr_grid", ["--grid", "smoke", "--device", "cuda:0"], "no CUDA"),
    ("corr_grid", ["--grid", "smoke", "--engine", "slurm"], "unknown engine 'slurm'"),
    ("corr_grid", ["--nonsense", "1"], "there is no --nonsense"),
    ("train", ["--model", "vgg3-w8"], "give dataset and model"),
    ("train", ["--dataset", "digits"], "give dataset and model"),
    ("train", ["--dataset", "nothing", "--model", "vgg3-w8"], "nothing"),
    ("train", ["--dataset", "digitz", "--model", "vgg3-w8"], "did you mean digits"),
    ("train", ["--dataset", "folder:nothing", "--model", "vgg3-w8"], "folder with train/ and test/ or val/"),
    ("train", ["--dataset", "folder:~nobody-here/x", "--model", "vgg3-w8"], "there is no user of this name"),
    ("train", ["--dataset", "npz:~nobody-here/x.npz", "--model", "vgg3-w8"], "there is no user of this name"),
    ("train", ["--dataset", "nothing:data", "--model", "vgg3-w8"], "No module named 'nothing'"),
    ("train", ["--dataset", "digits", "--model", "nothing.at:all"], "No module named 'nothing'"),
    ("train", ["--dataset", "digits+noise=2", "--model", "vgg3-w8"], "noise"),
    ("train", ["--dataset", "digits+noize=0.2", "--model", "vgg3-w8"], "noize"),
    ("train", ["--dataset", "digits+subset=5", "--model", "vgg3-w8"], "subset"),
    ("train", ["--dataset", "digits", "--model", "vgg7"], "models are vgg3-w4, vgg3-w8"),
    ("train", ["--dataset", "digits", "--model", "vgg6"], "32x32"),
    ("train", ["--dataset", "digits", "--model", "timm:nothing"], "nothing"),
    ("train", [*TRAIN, "--epochs", "0"], "epochs"),
    ("train", [*TRAIN, "--lr", "0.1"], "did you mean --learning-rate"),
    ("train", [*TRAIN, "--wd", "0.1"], "did you mean --weight-decay"),
    ("train", [*TRAIN, "--batchsize", "8"], "did you mean --batch-size"),
    ("train", [*TRAIN, "--epochs", "many"], "epochs"),
    ("train", [*TRAIN, "--batch-size", "1"], "batch_size"),
    ("train", [*TRAIN, "--learning-rate", "-0.1"], "learning_rate"),
    ("train", [*TRAIN, "--learning-rate", "[1"], "learning_rate"),
    ("train", [*TRAIN, "--weight-decay", ".nan"], "weight_decay"),
    ("train", [*TRAIN, "--augmentation", "9"], "augmentation"),
    ("train", [*TRAIN, "--precision", "fp8"], "precision"),
    ("train", [*TRAIN, "--warmup", "1"], "warmup"),
    ("train", [*TRAIN, "--r", "1.5"], "r: "),
    ("train", [*TRAIN, "--r", "0.123"], "1 - d/q"),
    ("train", [*TRAIN, "--design", "tens"], "design"),
    ("train", [*TRAIN, "--design", "all", "--r", "0.7"], "r"),
    ("train", [*TRAIN, "--design-seed", "-1"], "seed"),
    ("train", ["--dataset", "digits+subset=50", "--model", "vgg3-w8", "--r", "0.97"], "folds"),
    ("search", [], "--dataset"),
    ("search", ["--dataset", "digits"], "Give low and high"),
    ("search", [*RANGE, "--mode", "random"], "mode: should be 'fill' or 'optimize', not 'random'"),
    ("search", [*RANGE, "--mode", "optimize"], "low is for mode=fill"),
    ("search", ["--dataset", "digits", "--low", "0.9", "--high", "0.8"], "0 < low < high < 1"),
    ("search", ["--dataset", "digits", "--low", "0.8", "--high", "1.5"], "high"),
    ("search", [*RANGE, "--targets", "1"], "two and more"),
    ("search", [*RANGE, "--targets", "many"], "targets"),
    ("search", [*RANGE, "--tolerance", "0"], "tolerance"),
    ("search", [*RANGE, "--tolerance", "0.7"], "tolerance"),
    ("search", [*RANGE, "--trials", "0"], "trials"),
    ("search", [*RANGE, "--noise", "1"], "noise"),
    ("search", [*RANGE, "--budget", "10"], "no model of the space is that small; vgg3-w4 has"),
    ("search", [*RANGE, "--space", "large"], "unknown space 'large': choose paper, small"),
    ("search", [*RANGE, "--space", "missing.yaml"], "missing.yaml cannot be read"),
    ("search", [*RANGE, "--space", "list.yaml"], "mapping"),
    ("search", [*RANGE, "--space", "broken.yaml"], "not YAML"),
    ("search", [*RANGE, "--space", "paper"], "32x32"),
    ("search", [*RANGE, "--study", "a b"], "name must be"),
    ("search", [*RANGE, "--storage", "sqlite:////nowhere/at/all.db"], "no directory"),
    ("search", [*RANGE, "--storage", "nonsense"], "storage nonsense"),
    ("search", ["--dataset", "digits+noise=0.1", *RANGE[2:], "--noise", "0.2"], "noise"),
    ("correlation", ["--study", "nothing"], "there is no study 'nothing'"),
    ("correlation", ["--study", ""], "which study"),
    ("correlation", ["--study", "nothing,more"], "there is no study 'nothing'"),
    ("correlation", ["--study", "nothing", "--statistic", "median"], "unknown statistic 'median'"),
    ("correlation", [], "--study"),
    ("memorization", ["--cell", "abcdef123456"], "there is no cell"),
    ("memorization", ["--cell", "a' or 1=1"], "is not a valid name"),
    ("memorization", ["--cell", ""], "which cell"),
    ("memreg", ["cells", "--study", "nothing"], "there is no study"),
    ("memreg", ["cells", "--tracking-uri", "sqlite:////nowhere/at/all/mlflow.db"], "no directory"),
    ("memreg", ["cells", "--tracking-uri", "sqlite:///text.db"], "does not answer"),
    ("memreg", ["cells", "--tracking-uri", "sqlite:///absent.db"], "no database yet"),
    ("memreg", ["cells", "--tracking-uri", "http://127.0.0.1:PORT"], "does not answer"),
    ("memreg", ["cells", "--tracking-uri", "postgresql://me:secret@127.0.0.1:PORT/x"], "does not answer"),
    ("memreg", ["cells", "--tracking-uri", "ftp://somewhere"], "not one that memreg can use"),
    ("memreg", ["scores"], "Missing argument 'CELL'.* scores .*OPTIONS.* CELL; `memreg cells` lists"),
    ("memreg", ["scores", "abcdef123456"], "there is no cell"),
    ("memreg", ["scores", "abcdef123456", "--top", "0"], "top"),
    ("memreg", ["plan", "--grid", "nothing"], "unknown grid"),
    ("memreg", ["plan", "--throughput", "0"], "throughput"),
    (
        "corr_grid",
        ["--grid", "smoke", "--wait", "-1"],
        "wait: should be greater than or equal to 0, not '-1'",
    ),
    ("corr_grid", ["--grid", "smoke", "--wait", "long"], "wait: should be a valid number, not 'long'"),
    ("memreg", ["import", "text.db", "--dataset", "x", "--model", "y"], "must be .npz, .csv, .parquet"),
    ("memreg", ["import", "absent.npz", "--dataset", "x", "--model", "y"], "no such file"),
    ("memreg", ["import", "absent.npz"], "need a --dataset and a --model"),
    ("memreg", ["import", "absent.zip"], "no archive, or a damaged one"),
    ("memreg", ["import", "absent.zip", "--model", "y"], "says itself what its cells are"),
    ("memreg", ["export", "nothing", "list.yaml"], "is there already"),
    ("memreg", ["export", "nothing1", "x.npz"], "there is no cell"),
    ("memreg", ["export", "nothing1", "x.zarr"], "there is no cell"),
    ("memreg", ["export", "nothing", "x.zip"], "there is no study"),
    ("memreg", ["export", "nothing", "x.hdf5"], "a cell becomes .npz, .parquet or .zarr"),
    ("corr_grid", ["--grid", "date.yaml"], "not YAML"),
    ("corr_grid", ["--grid", "deep.yaml"], "not YAML"),
    ("corr_grid", ["--grid", "smoke", "--study", "x" * 201], "up to 200 letters"),
    ("train", [*TRAIN, "--epochs", "2020-13-45"], "epochs"),
    ("train", [*TRAIN, "--epochs", "0x_"], "epochs"),
    ("train", [*TRAIN, "--epochs", "[" * 5000], "epochs"),
    ("train", ["--dataset", "npz:" + "x" * 300, "--model", "vgg3-w8"], "File name too long"),
    ("train", ["--dataset", "npz:" + "x" * 600, "--model", "vgg3-w8"], "500 characters"),
    ("leave_one_out", [], "--cell"),
    ("leave_one_out", ["--cell", "abcdef123456", "--targets", "random:3"], "there is no cell"),
    ("leave_one_out", ["--cell", "digits/vgg3-w8", "--targets", "some"], "neither top:K"),
    (
        "leave_one_out",
        ["--cell", "digits/vgg3-w8", "--targets", "random:3", "--members", "0"],
        "greater than or equal",
    ),
    ("marginal_utility", [], "--cell"),
    ("marginal_utility", ["--cell", "abcdef123456"], "there is no cell"),
    ("approximation_error", ["--subset-cell", "abcdef123456"], "--loo-cell"),
    ("approximation_error", ["--subset-cell", "abcdef", "--loo-cell", "abcdef"], "there is no cell"),
    ("influence", [], "--cell"),
    ("influence", ["--cell", "abcdef123456"], "there is no cell"),
    ("memreg", ["report", "nothing"], "there is no study"),
    ("memreg", ["db", "init", "--tracking-uri", "sqlite:////nowhere/at/all/x.db"], "no directory"),
    ("memreg", ["cells", "--tracking-uri", "http://127.0.0.1:abc"], "is not valid: Port could not be cast"),
    ("memreg", ["cells", "--tracking-uri", "http://127.0.0.1:99999"], "is not valid: Port out of range"),
    ("memreg", ["cells", "--tracking-uri", "http://[bad"], "is not valid: Invalid IPv6"),
    ("memreg", ["cells", "--tracking-uri", "http://" + 70 * "x"], "does not answer"),
    ("memreg", ["cells", "--tracking-uri", "postgresql://me:secret@h:abc/x"], "is not valid: Port could not"),
    ("memreg", ["cells", "--tracking-uri", "postgresql://me:a'secret @127.0.0.1:PORT/x"], "does not answer"),
    ("memreg", ["import", "mask.npz", "--dataset", 501 * "x", "--model", "y"], "500 characters"),
    ("memreg", ["import", "mask.npz", "--dataset", "x", "--model", "y", "--study", 201 * "x"], "200 letters"),
    ("memreg", ["nonsense"], "there is no command"),
    ("memreg", ["db", "nonsense"], "[Nn]o such command"),
    ("memreg", ["db", "tune", "--tracking-uri", "sqlite:///nothing.db"], "no database yet"),
    ("memreg", ["db", "tune", "--tracking-uri", "http://127.0.0.1:PORT"], "does not answer"),
]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A directory with some bad files and an empty registry."""
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "key.yaml").write_text("name: x\ncells:\n  - {dataset: digits, model: vgg3-w8, epocs: 3}\n")
    (tmp_path / "date.yaml").write_text("name: x\ncells:\n  - {dataset: digits, epochs: 2020-13-45}\n")
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    np.savez(tmp_path / "mask.npz", trainset_mask=np.eye(3, dtype=bool), trainset_correctness=np.eye(3) > 0)
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("name", "arguments", "message"), CASES, ids=lambda v: str(v)[:60])
def test_one_line_and_nothing_left(workplace, monkeypatch, capsys, name, arguments, message):
    for extra in ("postgres", "zarr"):
        if any(extra in a for a in arguments):
            needs(extra)
    before = {p for p in workplace.rglob("*") if not p.name.startswith(("mlflow.db", ".coverage"))}
    arguments = [a.replace("PORT", str(free_port())) for a in arguments]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as exit_:
        options.run(command(name))
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.strip()]
    assert exit_.value.code == 2, (out, err)
    assert len(lines) == 1, err
    assert lines[0].startswith("memreg: error: ")
    assert re.search(message, lines[0]), lines[0]
    assert "secret" not in err
    assert {p for p in workplace.rglob("*") if not p.name.startswith(("mlflow.db", ".coverage"))} == before
    client = mlflow.MlflowClient(f"sqlite:///{workplace}/mlflow.db")
    experiments = client.search_experiments()
    assert client.search_runs([e.experiment_id for e in experiments]) == []


WITHOUT_EXTRAS = """
import sys
from pathlib import Path
sys.modules.update(dict.fromkeys(("ffcv", "psycopg", "psycopg2", "pymysql", "ray", "zarr")))
from memreg.data.batches import reader
from memreg.engines import Resources, engine
from memreg.errors import MemregError
from memreg.exchange.outgoing import writer_of
from memreg.registry.connection import connect
for ask in (
    lambda: reader("ffcv"),
    lambda: engine("ray", Resources()),
    lambda: writer_of(Path(sys.argv[1]))(None),
    lambda: connect("postgresql://host/x"),
    lambda: connect("mysql+pymysql://host/x"),
):
    try:
        ask()
    except MemregError as error:
        print(error)
"""


def test_an_extra_that_is_not_installed_is_one_line_with_what_installs_it(tmp_path):
    program = [sys.executable, "-c", WITHOUT_EXTRAS, str(tmp_path / "x.zarr")]
    lines = subprocess.run(program, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    extras = ("ffcv", "ray", "zarr", "postgres", "mysql")
    for line, extra in zip(lines, extras, strict=True):
        assert re.search(rf"pip install .*\[{extra}\]", line), line
    assert list(tmp_path.iterdir()) == []


def test_as_a_program_and_under_mlflow_run(tmp_path):
    """The run that `mlflow run` itself opened ends FAILED; the exit status of the program is 2."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    program = subprocess.run(
        [sys.executable, "-m", "entrypoints.train", *TRAIN, "--epochs", "x"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert program.returncode == 2
    assert program.stderr.strip().count("\n") == 0
    project = subprocess.run(
        [
            "mlflow",
            "run",
            str(ROOT),
            "-e",
            "corr_grid",
            "--env-manager",
            "local",
            "--experiment-name",
            "memreg",
            "-P",
            "members=abc; touch hacked",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert project.returncode != 0
    assert "memreg: error:" in project.stderr
    assert "touch hacked'" in project.stderr
    assert not list(ROOT.glob("hacked")) + list(tmp_path.glob("hacked"))
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("memreg").experiment_id])
    assert run.info.status == "FAILED"
    assert run.info.run_name.startswith("failed: members: should be a valid integer")
    assert run.data.tags["mlflow.note.content"].startswith("**Failed:** members: should be a valid integer")


REFUSED = (
    ["train", "--dataset", "digits", "--model", "vgg7"],
    ["train", "--dataset", "digitz", "--model", "vgg3-w8"],
    ["train", *TRAIN, "--epochs", "0"],
    ["train", *TRAIN, "--device", "tpu"],
    ["corr_grid", "--grid", "digit"],
    ["search", *RANGE, "--targets", "1"],
    ["plan", "--grid", "digit"],
    ["train", "--dataset", "folder:nowhere", "--model", "vgg3-w8"],
    ["train", "--dataset", "npz:nowhere.npz", "--model", "vgg3-w8"],
    ["audit", "nowhere"],
    ["train", "--dataset", "nowhere:data", "--model", "vgg3-w8"],
    ["train", "--dataset", "digits", "--model", "nowhere.models:mine"],
    ["scores"],
    ["train", "--help"],
    ["cells", "--help"],
)


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_a_name_that_is_none_is_refused_before_torch_and_mlflow_are_imported(tmp_path, arguments):
    """They take seconds to import, for which whoever mistyped a word would wait."""
    program = [sys.executable, "-X", "importtime", "-c", "from memreg.cli import main; main()", *arguments]
    process = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == (0 if "--help" in arguments else 2)
    imported = set(re.findall(r"\| +(\w+)$", process.stderr, re.MULTILINE))
    assert "click" in imported
    assert not imported & {"torch", "mlflow", "matplotlib", "scipy", "statsmodels"}
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_mlflow_says_what_to_do(tmp_path):
    """As where `.venv/bin/mlflow run` is called, and `python` is another one."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    program = [sys.executable, "-S", "-m", "entrypoints.train", *TRAIN]
    process = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert re.fullmatch(r"memreg: error: \S+ has no mlflow: activate .*\n", process.stderr)
