"""Registries that earlier versions of memreg wrote are read, and nothing of theirs is trained again.

`stores/registry-before-rooms.zip` is the smoke grid with 4 members a cell, without figures and pages, as
memreg wrote it before stored cells were objects.
"""

import shutil
import zipfile

import mlflow
import numpy as np
import pytest
from parts import ROOT
from studies import program, uri

from memreg.cli import memreg
from memreg.engines import Engine, Resources, engine
from memreg.estimators.gaussian import LIMIT
from memreg.grid import load_grid
from memreg.questions import corr_grid
from memreg.registry import Registry
from memreg.scoring.estimated import gaussian_scores
from memreg.show.terminal import Reporter
from memreg.studies.study import Where

STORE = ROOT / "tests" / "stores" / "registry-before-rooms.zip"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(STORE) as packed:
        packed.extractall(tmp_path)
    return Registry(uri(tmp_path))


def test_the_store_is_small():
    assert STORE.stat().st_size < 200_000


def test_its_scores_are_those_of_its_predictions(store):
    cells = store.cells("smoke")
    assert len(cells) == 4
    for hash_ in cells["cell"]:
        cell = store.cell(hash_)
        members = cell.members()
        correct = members.correct(cell.labels)[:, : cell.n_train]
        inside = members.included
        with np.errstate(invalid="ignore"):
            score = (correct & inside).sum(0) / inside.sum(0) - (correct & ~inside).sum(0) / (~inside).sum(0)
        assert np.allclose(cell.scores()["score"], score, equal_nan=True, rtol=0, atol=1e-15)
        assert len(members) == 4
        assert cell.cell.hash == hash_


def test_its_grid_trains_nothing(store, tmp_path):
    """Its artifacts are found beside the database, though its runs name another directory."""

    def refuse(jobs, datasets):
        raise AssertionError("a member would be trained")

    before = {hash_: store.scores(hash_) for hash_ in store.cells("smoke")["cell"]}
    where = Where(Engine(refuse, "cpu"), tracking_uri=uri(tmp_path))
    with Reporter() as progress:
        outcome = corr_grid.run_grid(load_grid("smoke", 4), "smoke", where, progress)
    assert set(outcome.cells["cell"]) == set(before)
    registry = Registry(uri(tmp_path))
    assert all(registry.scores(hash_).equals(scores) for hash_, scores in before.items())
    assert set(registry.cells()["cell"]) == set(before)


def test_its_grid_trains_on_where_more_members_are_asked_for(store, tmp_path):
    """Members of either version are the same, to the bit: those that are there are trained once more."""
    cell = store.cells("smoke").query("dataset == 'digits+subset=300'")["cell"].iloc[0]
    there = store.predictions(cell)
    run_id = store.cell(cell).run_id
    client = mlflow.MlflowClient(uri(tmp_path))
    shutil.rmtree(store.cell(cell).artifacts.place.root)
    client.delete_run(run_id)
    where = Where(engine("local", Resources(workers=2)), tracking_uri=uri(tmp_path))
    with Reporter() as progress:
        corr_grid.run_grid(load_grid("smoke", 4), "smoke", where, progress)
    anew = Registry(uri(tmp_path)).predictions(cell)
    for name in ("member", "seed", "included", "predicted"):
        assert np.array_equal(getattr(anew, name), getattr(there, name)), name


def test_its_cells_grow_and_go_out_with_members_of_both_schemas(store, tmp_path, monkeypatch, capsys):
    """The old members stay as they were, to the bit; margins of theirs are within what probabilities tell."""
    cell = store.cells("smoke").query("dataset == 'digits+subset=300'")["cell"].iloc[0]
    there, scores = store.predictions(cell), store.scores(cell)
    assert not there.exact.any()
    where = Where(engine("local", Resources(workers=2)), tracking_uri=uri(tmp_path))
    with Reporter() as progress:
        corr_grid.run_grid(load_grid("smoke", 24), "smoke", where, progress)
    grown = Registry(uri(tmp_path)).cell(cell)
    both = grown.members()
    assert both.exact.tolist() == [False] * 4 + [True] * 20
    for name in ("member", "seed", "included", "predicted", "p_label", "p_max"):
        assert getattr(both, name)[:4].tobytes() == getattr(there, name).tobytes(), name
    assert abs(both.margin[:4]).max() <= LIMIT
    assert np.allclose(both.p_label[4:], 1 / (1 + np.exp(-both.margin[4:].astype(float))), atol=1e-3)
    first = {int(m.member[0]): m for m in grown.shards()}
    assert first[0].columns.keys() == there.columns.keys()
    assert not grown.scores()["score"].equals(scores["score"])
    assert gaussian_scores(grown)["score"].notna().all()
    program(monkeypatch, capsys, memreg, "export", cell[:12], "both.npz")
    program(monkeypatch, capsys, memreg, "export", "smoke", "both.zip")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    program(monkeypatch, capsys, memreg, "import", "both.npz", "--dataset", "digits", "--model", "vgg3-w4")
    program(monkeypatch, capsys, memreg, "import", "both.zip")
    other = Registry(f"sqlite:///{tmp_path}/other.db")
    (brought,) = other.cells("imported")["cell"]
    for copy in (other.predictions(brought), other.predictions(cell)):
        for name in ("included", "predicted", "p_label", "p_max", "margin", "exact"):
            assert getattr(copy, name).tobytes() == getattr(both, name).tobytes(), name
