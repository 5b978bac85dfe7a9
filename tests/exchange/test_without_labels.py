"""Predictions that come without labels: nothing shows one, and what needs them refuses in one line."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from studies import bad_input

import memreg
from memreg.cli import memreg as program
from memreg.exchange.layouts import read
from memreg.registry.stored_cell import LABEL_KNOWN
from memreg.scoring.estimated import peer_scores
from memreg.show.explore import static
from memreg.show.explore.desk import Desk

KNOWN = ["--dataset", "mnist", "--model", "mlp", "--study", "theirs"]
N_TRAIN, N_TEST = 40, 10


def arrays(k=12, **more):
    rng = np.random.default_rng(0)
    mask = rng.random((k, N_TRAIN)) < 0.7
    right = rng.random((k, N_TRAIN)) < np.where(mask, 0.95, 0.5)
    tested = rng.random((k, N_TEST)) < 0.8
    return {"trainset_mask": mask, "trainset_correctness": right, "testset_correctness": tested, **more}


@pytest.fixture
def cell(here):
    np.savez("masks.npz", **arrays())
    here("import", "masks.npz", *KNOWN)
    return memreg.Registry().cell(memreg.Registry().cells()["cell"][0])


def artifact(cell, name):
    return mlflow.artifacts.download_artifacts(run_id=cell.run_id, artifact_path=name)


def test_it_is_written_down_and_scores_name_no_label(cell):
    assert not cell.labels_known
    assert not pd.read_parquet(artifact(cell, "examples.parquet"))[LABEL_KNOWN].any()
    assert (pd.read_parquet(artifact(cell, "scores.parquet"))["label"] == -1).all()
    for scores in (cell.scores(), peer_scores(cell)):
        assert (scores["label"] == -1).all()
    expected = arrays()["trainset_correctness"]
    assert (cell.members().correct(cell.labels)[:, :N_TRAIN] == expected).all()


def test_what_people_look_at_says_so(cell, here):
    shown = memreg.show(cell, n=3)
    assert set(shown.rows["label"]) == {"unknown"}
    assert "label <b>unknown</b>" in shown._repr_html_()
    assert "unknown" in here("scores", cell.hash, "--top", "3")
    about = Desk(memreg.Registry(), str).about(cell.hash)
    assert (about["classes"], about["labels_known"]) == (["unknown"], False)
    assert '"labels_known": false' in static.page(cell, None, "not here")
    study = memreg.Registry().study_run("theirs")
    text = Path(artifact(study.info, "report.html")).read_text(encoding="utf-8")
    assert text.count("<b>label unknown</b>") == 8
    assert "label 0" not in text


def test_the_label_check_refuses(cell, here):
    with pytest.raises(memreg.MemregError, match="imported without labels: there are none to check"):
        cell.label_check()


@pytest.mark.parametrize("name", ["x.npz", "x.parquet", "x.zip"])
def test_it_goes_out_and_comes_in_again_without_labels(cell, here, name, tmp_path, monkeypatch):
    here("export", "theirs" if name == "x.zip" else cell.hash, name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    here("import", name, *([] if name == "x.zip" else KNOWN))
    back = memreg.Registry().cell(cell.hash)
    assert not back.labels_known
    pd.testing.assert_frame_equal(back.scores(), cell.scores())


def test_members_that_diverged_are_told_without_labels(here):
    given = arrays()
    for name in ("trainset_correctness", "testset_correctness"):
        given[name][3] = False
    given["predicted"] = np.zeros((12, N_TRAIN + N_TEST), int)
    given["predicted"][3] = -1
    np.savez("masks.npz", **given)
    here("import", "masks.npz", *KNOWN)
    cell = memreg.Registry().cell(memreg.Registry().cells()["cell"][0])
    assert np.flatnonzero(cell.members().diverged).tolist() == [3]
    for name in ("again.npz", "again.parquet"):
        here("export", cell.hash, name)
        again = read(Path(name))
        assert np.flatnonzero(again.members.diverged).tolist() == [3]


@pytest.mark.parametrize(("given", "known"), [(np.arange(N_TRAIN) % 2, True), (None, False)])
def test_a_cell_that_an_earlier_version_imported(here, given, known):
    labels = {} if given is None else {"train_labels": given, "test_labels": given[:N_TEST]}
    np.savez("masks.npz", **arrays(**labels))
    here("import", "masks.npz", *KNOWN)
    cell = memreg.Registry().cell(memreg.Registry().cells()["cell"][0])
    path = artifact(cell, "examples.parquet")
    pd.read_parquet(path).drop(columns=LABEL_KNOWN).to_parquet(path)
    assert memreg.Registry().cell(cell.hash).labels_known == known


def test_labels_that_are_all_0_are_labels(here):
    zeros = np.zeros(N_TRAIN, int)
    np.savez("masks.npz", **arrays(train_labels=zeros, test_labels=zeros[:N_TEST]))
    here("import", "masks.npz", *KNOWN)
    cell = memreg.Registry().cell(memreg.Registry().cells()["cell"][0])
    assert cell.labels_known
    assert (cell.scores()["label"] == 0).all()


def test_proxies_that_judge_labels_refuse(cell):
    pytest.importorskip("cleanlab")
    from memreg.scoring.proxies import label_quality

    with pytest.raises(memreg.MemregError, match="imported without labels"):
        label_quality(cell)


def test_explore_labels_refuses_in_one_line(cell, monkeypatch, capsys):
    bad_input(monkeypatch, capsys, program, "explore", cell.hash, "--labels", match="imported without labels")
