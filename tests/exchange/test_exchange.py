"""Cells go out and come in again: as they were, or as much of them as a layout holds."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parts import needs
from studies import bad_input, uri

from memreg.cell import Cell
from memreg.cli import memreg
from memreg.design import Imported
from memreg.engines import Resources, engine
from memreg.errors import MemregError
from memreg.exchange.incoming import AT_ONCE, From, bring_in, from_outside
from memreg.exchange.layouts import read
from memreg.exchange.outgoing import CHUNK
from memreg.grid import plan_cell
from memreg.questions import correlation
from memreg.questions.leave_one_out import Request, schedule
from memreg.recipe import Recipe
from memreg.registry import Registry
from memreg.scoring.estimated import gaussian_scores, peer_scores, shrunk_scores
from memreg.show.terminal import Reporter
from memreg.studies.study import Where

SCORES = ["score", "standard_error", "low", "high", "included_count", "excluded_count"]


def known(**fields):
    return ["--dataset", "digits", "--model", "vgg3", *(x for k, v in fields.items() for x in (f"--{k}", v))]


def feldman_zhang(registry, cell, path):
    """What mnist_infl_mem.py holds of its networks."""
    members, n = registry.predictions(cell), registry.predictions(cell).n_train
    correct = members.correct(registry.cell(cell).labels)
    np.savez(
        path,
        trainset_mask=members.included,
        trainset_correctness=correct[:, :n],
        testset_correctness=correct[:, n:],
    )


def test_masks_and_correctness_become_a_cell_with_the_same_scores(here, source):
    originals = source.cells()
    for i in range(4):
        feldman_zhang(source, originals["cell"][i], f"{i}.npz")
        out = here("import", f"{i}.npz", *known(study=f"theirs{i}", epochs="9"))
        assert "vgg3" in out
    registry = Registry()
    cells = registry.cells()
    numbers = [
        "test_accuracy",
        "included_accuracy",
        "excluded_accuracy",
        "mean_score",
        "memorized_fraction/0.25",
    ]
    pd.testing.assert_frame_equal(cells[numbers], originals[numbers])
    assert set(cells.columns).isdisjoint({"batch_size", "learning_rate", "design_seed", "train_seconds"})
    assert cells["epochs"].tolist() == [9] * 4
    assert cells["design"].tolist() == ["imported"] * 4
    for mine, theirs in zip(cells["cell"], originals["cell"], strict=True):
        assert registry.scores(mine)[SCORES].equals(source.scores(theirs)[SCORES])
        assert registry.cell(mine).cell.design.networks == 20
        assert peer_scores(registry.cell(mine))["score"].notna().any()
        for by_probability in (gaussian_scores, shrunk_scores):
            with pytest.raises(MemregError, match="without margins or p_label"):
                by_probability(registry.cell(mine))
    together = correlation.run(
        correlation.Request(study=",".join(f"theirs{i}" for i in range(4))), registry
    ).result
    x, y = originals["test_accuracy"], originals["mean_score"]
    assert together.pooled["mean_score"].r == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert "vgg3" in here("cells")


def test_the_same_import_twice_is_one_cell(here, source):
    feldman_zhang(source, source.cells()["cell"][0], "x.npz")
    for study in ("a", "b"):
        here("import", "x.npz", *known(study=study))
    here("import", "x.npz", "--dataset", "digits", "--model", "another")
    registry = Registry()
    assert registry.cells("a")["run_id"].tolist() == registry.cells("b")["run_id"].tolist()
    assert len(registry.cells()) == 2


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_cell_that_goes_out_comes_in_with_the_same_predictions(here, done, source, suffix):
    cell = source.cells()["cell"][3]
    assert "bytes" in here("export", cell[:9], f"x.{suffix}", "--tracking-uri", uri(done[0]))
    here("import", f"x.{suffix}", *known())
    registry = Registry()
    (mine,) = registry.cells()["cell"]
    there, back = source.predictions(cell), registry.predictions(mine)
    for name in ("member", "included", "predicted", "margin", "p_label", "p_max"):
        a, b = getattr(there, name), getattr(back, name)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes(), name
    pd.testing.assert_frame_equal(registry.scores(mine), source.scores(cell))
    here("export", mine, f"again.{suffix}")
    assert read(Path(f"again.{suffix}")).content == read(Path(f"x.{suffix}")).content


def test_a_zarr_group_has_the_arrays_of_the_npz_in_chunks_of_members(here):
    needs("zarr")
    import zarr

    rng = np.random.default_rng(0)
    k, n_train, n_test = AT_ONCE + 50, 6, 3
    np.savez(
        "in.npz",
        trainset_mask=rng.random((k, n_train)) < 0.7,
        trainset_correctness=rng.random((k, n_train)) < 0.5,
        testset_correctness=rng.random((k, n_test)) < 0.5,
    )
    here("import", "in.npz", *known())
    cell = Registry().cells()["cell"][0]
    for suffix in ("npz", "zarr"):
        assert "bytes" in here("export", cell, f"x.{suffix}")
    group = zarr.open_group("x.zarr", mode="r")
    with np.load("x.npz") as arrays:
        assert {*group.array_keys()} == {*arrays}
        for name, array in arrays.items():
            assert group[name].dtype == array.dtype
            assert group[name][:].tobytes() == array.tobytes(), name
    assert group["predicted"].metadata.dimension_names == ("member", "example")
    assert group["predicted"].shape == (k, n_train + n_test)
    assert group["predicted"].chunks == (CHUNK, n_train + n_test)


def test_diverged_members_and_unknown_wrong_classes_go_out_and_come_in(here):
    rng = np.random.default_rng(0)
    label, n = np.array([0, 1, 2, 1]), 4
    predicted = rng.integers(-2, 3, (6, n))
    predicted[predicted == -1] = 0
    predicted[2] = -1
    np.savez(
        "x.npz",
        trainset_mask=np.arange(6 * n).reshape(6, n) % 2 == 0,
        trainset_correctness=predicted == label,
        train_labels=label,
        predicted=predicted,
    )
    here("import", "x.npz", *known())
    registry = Registry()
    cells = registry.cells()
    stored = registry.predictions(cells["cell"][0])
    assert stored.diverged.tolist() == [False, False, True, False, False, False]
    assert (stored.predicted[predicted == -2] == 254).all()
    assert (cells["members"][0], cells["diverged"][0]) == (5, 1)
    for suffix in ("npz", "parquet"):
        here("export", cells["cell"][0], f"y.{suffix}")
        assert (read(Path(f"y.{suffix}")).members.predicted == stored.predicted).all()


def lira(directory, k=8, n=30, classes=4, seed=0):
    """As train.py and inference.py of LiRA leave them; returns keep [k, n] and logits [k, n, 2, classes]."""
    rng = np.random.default_rng(seed)
    directory.mkdir()
    np.save(directory / "y_train.npy", np.arange(n + 5) % classes)
    np.save(directory / "x_train.npy", np.zeros((n + 5, 2, 2, 3)))
    keep = rng.random((k, n)).argsort(0) < k // 2
    logits = rng.normal(size=(k, n, 2, classes)).astype(np.float32)
    for i in range(k):
        member = directory / f"experiment-{i}_{k}"
        (member / "logits").mkdir(parents=True)
        (member / "hparams.json").write_text("{}")
        np.save(member / "keep.npy", np.append(keep[i], np.zeros(5, bool)))
        np.save(member / "logits" / "0000000050.npy", np.zeros((n, 1, 2, classes), np.float32))
        np.save(member / "logits" / "0000000100.npy", logits[i][:, None])
    return keep, logits


def test_liras_directories_become_a_cell_without_test_accuracy(here, tmp_path):
    keep, logits = lira(tmp_path / "exp")
    logits[7] = np.nan
    np.save(tmp_path / "exp/experiment-7_8/logits/0000000100.npy", logits[7][:, None])
    out = here("import", "exp", *known())
    assert "-" in out
    registry = Registry()
    cells = registry.cells()
    assert "test_accuracy" not in cells
    assert (cells["members"][0], cells["diverged"][0]) == (7, 1)
    stored = registry.predictions(cells["cell"][0])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p, label = p.mean(2), np.arange(30) % 4
    assert (stored.included == keep).all()
    assert (stored.predicted[:7] == p[:7].argmax(-1)).all()
    assert np.allclose(stored.p_label[:7], p[:7, np.arange(30), label], atol=1e-3)
    own = p[:7, np.arange(30), label]
    assert np.allclose(stored.margin[:7], np.log(own) - np.log1p(-own), rtol=1 / 256, atol=1e-2)
    right = stored.predicted[:7] == label
    score = [right[keep[:7, j], j].mean() - right[~keep[:7, j], j].mean() for j in range(30)]
    assert np.allclose(registry.scores(cells["cell"][0])["score"], score)
    assert "vgg3" in here("cells")
    note = mlflow.MlflowClient().get_run(cells["run_id"][0]).data.tags["mlflow.note.content"]
    assert "nan" not in note
    with pytest.raises(MemregError, match="0 cells with scores and test accuracy"):
        correlation.run(correlation.Request(study="imported"), registry)


def rows(k=4, n_train=6, n_test=3):
    """A plain table."""
    rng = np.random.default_rng(1)
    n = n_train + n_test
    return pd.DataFrame(
        {
            "member": np.repeat(np.arange(k) + 5, n),
            "split": np.tile(["train"] * n_train + ["test"] * n_test, k),
            "example": np.tile(np.r_[:n_train, :n_test], k),
            "included": np.concatenate(
                [np.r_[rng.permutation(n_train) % 2 == 0, [False] * n_test] for _ in range(k)]
            ),
            "label": np.tile(np.arange(n) % 3, k),
            "predicted": rng.integers(0, 3, k * n),
        }
    )


def test_plain_tables_in_any_order_of_rows(tmp_path):
    table = rows()
    shuffled = table.sample(frac=1, random_state=0).astype({"included": object})
    shuffled.loc[shuffled["split"] == "test", "included"] = np.nan
    shuffled.to_csv(tmp_path / "x.csv", index=False)
    table.to_parquet(tmp_path / "x.parquet")
    a, b = read(tmp_path / "x.csv"), read(tmp_path / "x.parquet")
    assert a.content == b.content
    assert a.fingerprint == b.fingerprint
    assert (a.members.predicted.reshape(-1) == table["predicted"]).all()
    assert a.n_train == 6
    correct = table.assign(correct=table["label"] == table["predicted"])
    correct.drop(columns=["predicted", "label"]).to_parquet(tmp_path / "y.parquet")
    c = read(tmp_path / "y.parquet")
    assert (c.members.correct(c.labels) == a.members.correct(a.labels)).all()


BAD_TABLES = {
    "no column included": lambda t: t.drop(columns="included"),
    "neither a column correct": lambda t: t.drop(columns="predicted"),
    "must have a row for each example": lambda t: t.iloc[1:],
    "each of 4 members must": lambda t: pd.concat([t, t.iloc[:1]]),
    "0, 1, ... within": lambda t: t.assign(example=t["example"] + 1),
    "split must be train or test": lambda t: t.assign(split="valid"),
    "included must be true or false": lambda t: t.assign(included=2),
    "column member must be whole": lambda t: t.assign(member=t["member"].astype(str) + "x"),
    "one label": lambda t: t.assign(label=np.arange(len(t)) % 5),
    "labels must be 9 whole numbers": lambda t: t.assign(label=t["label"] - 1),
    "predicted must be classes": lambda t: t.assign(predicted=t["predicted"] * 0.5),
    "includes no example": lambda t: t.assign(included=t["included"] & (t["member"] > 5)),
    "p_label must be probabilities": lambda t: t.assign(p_label=1.5),
    "margin must be the label's log odds": lambda t: t.assign(margin=t["member"] > 5),
    "margin is above 0 where the prediction is wrong": lambda t: t.assign(margin=9),
    "p_max .* cannot be 0": lambda t: t.assign(margin=-9.0, p_max=0.0),
    "there can be 65534 at most": lambda t: t.assign(predicted=100_000),
    "a member that diverged has the class -1 for every": lambda t: t.assign(
        predicted=[-1, *t["predicted"][1:]]
    ),
}
MASK = np.arange(12).reshape(3, 4) % 2 == 0
BAD_ARRAYS = {
    "no trainset_mask": {"trainset_correctness": MASK},
    "no trainset_correctness": {"trainset_mask": MASK},
    "a row for each member": {"trainset_mask": MASK, "trainset_correctness": MASK[:2]},
    "testset_correctness \\(2, 4\\)": {
        "trainset_mask": MASK,
        "trainset_correctness": MASK,
        "testset_correctness": MASK[:2],
    },
    "trainset_mask must be true": {"trainset_mask": MASK * 3, "trainset_correctness": MASK},
    "4 whole numbers": {"trainset_mask": MASK, "trainset_correctness": MASK, "train_labels": np.arange(3)},
    "layout that memreg knows": {"trainset_mask": MASK, "trainset_correctness": np.array(True)},
    "not in a layout": {
        "trainset_mask": MASK,
        "trainset_correctness": MASK,
        "testset_correctness": np.ones(3, bool),
    },
    "of one column for each class": {
        "trainset_mask": MASK,
        "trainset_correctness": MASK,
        "train_labels": np.zeros((4, 2), int),
    },
    "no members": {"trainset_mask": MASK[:0], "trainset_correctness": MASK[:0]},
}


@pytest.mark.parametrize("message", BAD_TABLES)
def test_bad_tables_are_refused(tmp_path, message):
    BAD_TABLES[message](rows()).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(MemregError, match=message) as info:
        read(tmp_path / "x.csv")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("message", BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, message):
    np.savez(tmp_path / "x.npz", **BAD_ARRAYS[message])
    with pytest.raises(MemregError, match=message):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize("metadata", [b"{}", b"5", b'{"columns": 5, "index_columns": []}'])
def test_a_table_with_metadata_of_any_kind(tmp_path, metadata):
    table = pa.Table.from_pandas(rows()).replace_schema_metadata({b"pandas": metadata})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(MemregError, match="not in a layout that memreg knows") as info:
        read(tmp_path / "x.parquet")
    assert "\n" not in str(info.value)


def test_a_table_with_a_row_of_no_member(tmp_path):
    table = rows().astype({"member": "Int64"})
    table.loc[3, "member"] = pd.NA
    table.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(MemregError, match="column member must be whole numbers"):
        read(tmp_path / "x.parquet")


def test_an_imported_study_has_its_page(here):
    rows().to_csv("rows.csv", index=False)
    here("import", "rows.csv", *known(study="theirs"))
    registry = Registry()
    page = registry.artifacts(registry.study_run("theirs")).get("report.html").read_text()
    assert "Study theirs" in page
    assert "Without their images" in page


def test_bad_directories_and_files_are_refused(tmp_path):
    def broken(name, damage, message):
        directory = tmp_path / name
        lira(directory)
        damage(directory)
        with pytest.raises(MemregError, match=message) as info:
            read(directory)
        assert "\n" not in str(info.value)

    def overwrite(name, array):
        return lambda directory: np.save(directory / name, array)

    broken("no-labels", lambda d: (d / "y_train.npy").unlink(), r"y_train.npy: there is no such file")
    broken("no-keep", lambda d: (d / "experiment-3_8/keep.npy").unlink(), r"keep.npy: there is no such file")
    broken("no-logits", lambda d: shutil.rmtree(d / "experiment-3_8/logits"), "no logits")
    broken("flat", overwrite("experiment-3_8/logits/0000000200.npy", np.zeros(30)), "do not fit")
    broken(
        "short",
        overwrite("experiment-3_8/logits/0000000200.npy", np.zeros((9, 1, 2, 4))),
        "9 examples, and 30",
    )
    broken("keep", overwrite("experiment-3_8/keep.npy", np.ones(3, bool)), "do not fit")
    broken("classes", overwrite("y_train.npy", np.full(35, 9)), "labels go up to 9")
    broken("one number", overwrite("y_train.npy", np.array(3)), "no array as numpy.save")
    broken(
        "archive",
        lambda d: np.savez((d / "y_train.npy").open("wb"), a=np.zeros(35)),
        "no array as numpy.save",
    )
    broken("damaged", lambda d: (d / "experiment-1_8/keep.npy").write_bytes(b"\x93NUMPY"), "damaged")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("empty", "no directories experiment"),
        ("absent.npz", "no such"),
        ("x.txt", "must be"),
    ):
        (tmp_path / "x.txt").touch()
        with pytest.raises(MemregError, match=message):
            read(tmp_path / name)
    for suffix in ("npz", "csv", "parquet"):
        path = tmp_path / f"noise.{suffix}"
        path.write_bytes(np.random.default_rng(0).bytes(1000))
        with pytest.raises(MemregError, match="damaged"):
            read(path)


def test_imported_cells_cannot_be_trained(here):
    cell = from_outside(read_rows(), "digits", {"model": "vgg3"})
    with Reporter() as progress:
        bring_in([cell], From("theirs", "imported", "A table."), progress)
    with pytest.raises(MemregError, match="was imported: how to train more"):
        schedule(Request(cell=cell.cell.hash, targets="random:2"), {}, Where(engine("local", Resources())))
    with pytest.raises(MemregError, match="cannot be trained"):
        cell.cell.design.check(100)
    with pytest.raises(MemregError, match="design: must be"):
        plan_cell({"dataset": "digits", "model": "x", "members": 1, "design": "imported"}, "grid")


def read_rows():
    rows().to_csv("rows.csv", index=False)
    return read(Path("rows.csv"))


def test_what_an_imported_cell_is_and_what_is_not_known_of_it(here):
    cell = from_outside(read_rows(), "digits", {"model": "vgg3"}).cell
    content = json.loads(cell.canonical_json())
    assert content["recipe"] == {"model": "vgg3"}
    assert Cell.model_validate_json(cell.canonical_json()).hash == cell.hash
    assert set(cell.params()) == {"dataset", "model", "design", "content", "networks"}
    trained = Cell(
        dataset="x",
        dataset_fingerprint="f",
        recipe=Recipe(model="m"),
        design=Imported(kind="imported", content="0" * 64, networks=1000),
    )
    blocks = np.array([trained.design.block(m) for m in range(1000)])
    assert (np.bincount(blocks) == 10).all()
    with pytest.raises(MemregError, match="learning_rate"):
        from_outside(read_rows(), "digits", {"model": "vgg3", "learning_rate": -1})


def test_targets_are_not_overwritten_and_nothing_is_left(tmp_path, done, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("x.npz").write_text("mine")
    cell = Registry(uri(done[0])).cells()["cell"][0]
    for arguments in (
        ("export", cell, "x.npz"),
        ("export", cell, "x.hdf5"),
        ("export", "nothing", "y.npz"),
        ("export", "nothing", "y.zip"),
        ("export", cell, "no/such/place.npz"),
        ("import", "x.npz", *known()),
        ("import", "absent.zip"),
        ("import", "x.npz"),
    ):
        bad_input(monkeypatch, capsys, memreg, *arguments, "--tracking-uri", uri(done[0]))
    assert [p.name for p in Path.cwd().iterdir()] == ["x.npz"]
    assert Path("x.npz").read_text() == "mine"


def test_what_was_passed_over_stands_in_the_studys_description(here, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    rng = np.random.default_rng(0)
    np.save(store / "masks.npy", rng.random((6, 8)) < 0.5)
    np.save(store / "train_margins.npy", rng.normal(size=(6, 8)))
    np.save(store / "_completed.npy", np.arange(6) < 4)
    out = here("import", "store", *known(study="theirs"))
    said = "store: 2 of 6 rows are not completed, and are no members"
    assert f"warning: {said}" in out
    note = Registry().study_run("theirs").data.tags["mlflow.note.content"]
    assert f"> **Warning:** {said}." in note
