"""How often the tracking store is asked: a cell is found once, and passed on."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from servers import free_port, wait_for
from studies import run, tiny, uri

from memreg.cell import Cell
from memreg.exchange.archive import export_study, opened
from memreg.exchange.incoming import From, bring_in
from memreg.questions import correlation, memorization
from memreg.registry import Registry
from memreg.show.terminal import Reporter

CELLS = 19


def test_scores_are_computed_anew_with_one_question_for_the_cells_run(done, monkeypatch):
    directory, outcome = done
    asked = []
    search = MlflowClient.search_runs
    monkeypatch.setattr(
        MlflowClient, "search_runs", lambda self, *a, **k: asked.append("search") or search(self, *a, **k)
    )
    get = MlflowClient.get_run
    monkeypatch.setattr(MlflowClient, "get_run", lambda self, *a: asked.append("get") or get(self, *a))
    registry = Registry(uri(directory))
    cell = registry.cell(outcome.cells["cell"][0])
    memorization.rescored(cell)
    cell.scores()
    cell.members()
    assert asked == ["search"]


@pytest.fixture(scope="module")
def nineteen(tmp_path_factory):
    """A server on a study of 19 cells of two data sets, which it hands out over HTTP."""
    directory = tmp_path_factory.mktemp("nineteen")
    rates = [round(0.05 + 0.01 * i, 2) for i in range(CELLS)]
    cells = [
        {"dataset": f"digits+subset={100 + 50 * (i % 2)}", "learning_rate": rate, "epochs": 1}
        for i, rate in enumerate(rates)
    ]
    with contextlib.chdir(directory):
        run(tiny(members=10, cells=cells), directory)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [
        *(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            uri(directory),
            "--port",
            str(port),
        ),
        *("--serve-artifacts", "--artifacts-destination", str(directory / "served"), "--workers", "1"),
    ]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(base, process)
    with contextlib.chdir(directory):
        where = run_over_http(base)
    yield base, where
    process.terminate()
    process.wait()


def run_over_http(base):
    """The same cells, imported by the server's own address, so that their artifacts are the server's."""
    export_study(Registry(uri(Path.cwd())), "tiny", Path("tiny.zip"))
    client = MlflowClient(base)
    for run_ in client.search_runs([client.get_experiment_by_name("memreg").experiment_id], max_results=1000):
        client.delete_run(run_.info.run_id)
    client.create_experiment("served", "mlflow-artifacts:/served")
    with pytest.MonkeyPatch.context() as patch, opened(Path("tiny.zip")) as archive, Reporter() as progress:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "served")
        bring_in(archive.cells, From("served", "tiny", "Imported."), progress, base)
    return "served"


def test_a_study_correlates_with_at_most_three_requests_a_cell_over_http(nineteen, monkeypatch):
    base, study = nineteen
    sent = []
    send = requests.Session.send
    monkeypatch.setattr(
        requests.Session,
        "send",
        lambda self, request, **k: sent.append(request.url) or send(self, request, **k),
    )
    answer = correlation.run(correlation.Request(study=study), Registry(base))
    assert len(answer.cells) == CELLS
    assert len(sent) <= 3 * CELLS, f"{len(sent)} requests for {CELLS} cells"


def test_a_cell_is_told_by_its_params_or_by_its_file(done):
    """What MLflow's params tell is the cell that was stored; where they tell another, its file is read."""
    directory, outcome = done
    cell = Registry(uri(directory)).cell(outcome.cells["cell"][0])
    stored = Cell.model_validate_json(cell.artifacts.get("cell.json").read_bytes())
    params, fingerprint = cell._run.data.params, stored.dataset_fingerprint
    assert Cell.from_params(params, fingerprint, cell.hash) == stored
    assert Cell.from_params(params | {"r": "0.5"}, fingerprint, cell.hash) is None
    assert Cell.from_params(params | {"epochs": "many"}, fingerprint, cell.hash) is None
    assert Cell.from_params({}, fingerprint, cell.hash) is None
    assert cell.cell == stored
