"""Traces in the registry: kept with their members, made for those that have none, and read back."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from studies import same_bits, tiny, uri

from memreg.engines import Resources, engine
from memreg.errors import MemregError
from memreg.exchange.archive import export_study, opened
from memreg.exchange.incoming import From, bring_in
from memreg.questions import corr_grid
from memreg.registry import Registry
from memreg.studies.progress import Silent
from memreg.studies.study import Where
from memreg.tracing import Tracing

CELLS = [{"dataset": "digits+subset=300", "batch_size": 32}]


def grid(members=6):
    return tiny(cells=CELLS, members=members)


def train(directory, tracing=None, members=6, on=None):
    where = Where(on or engine("local", Resources(workers=2)), tracking_uri=uri(directory), tracing=tracing)
    corr_grid.run_grid(grid(members), "tiny", where, Silent())
    registry = Registry(uri(directory))
    return registry.cell(registry.cells("tiny")["cell"].iloc[0])


class Counted:
    """An engine that counts what it is asked to train."""

    def __init__(self):
        self.jobs = []
        inner = engine("local", Resources(workers=2))

        def counting(jobs, datasets):
            listed = list(jobs)
            self.jobs += listed
            yield from inner.run(listed, datasets)

        self.engine = replace(inner, run=counting)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_traced_members_are_the_same_and_their_traces_are_read_back(here, tmp_path_factory):
    traced = train(here, Tracing.by(4, 5, "gradient_norm,features"))
    found = traced.traces()
    assert found.member.tolist() == [0, 1, 2, 3]
    assert len(found.steps) == 5
    assert found["loss"].shape == (4, 5, 300)
    assert found["loss"].dtype == np.float16
    assert found["correct"].dtype == np.bool_
    assert found["features"].shape == (4, 300, 32)
    members = traced.members()
    assert (found.included == members.included[:4]).all()
    assert (found["margin"][:, -1] == members.margin[:4, :300]).all()
    assert set(traced.traces("loss", "correct").quantities) == {"loss", "correct"}
    other = tmp_path_factory.mktemp("untraced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(other)
        bare = train(other)
    same_bits(members, bare.members())
    with pytest.raises(MemregError, match=r"has no traces: .* --trace 20"):
        bare.traces()


def test_only_what_has_no_trace_is_trained_for_one(here):
    before = train(here)
    scores, members = before.scores(), before.members()
    counted = Counted()
    cell = train(here, Tracing(3, 5), members=7, on=counted.engine)
    assert sorted(job.member for job in counted.jobs) == [0, 1, 2, 6]
    assert [job.tracing is not None for job in counted.jobs if job.member == 6] == [False]
    same_bits(cell.members()[:6], members)
    assert len(cell.traces()) == 3
    again = Counted()
    train(here, Tracing(3, 5), members=7, on=again.engine)
    train(here, members=7, on=again.engine)
    assert again.jobs == []
    more = train(here, Tracing(5, 5), members=7, on=again.engine)
    assert sorted(job.member for job in again.jobs) == [3, 4]
    assert len(more.traces()) == 5
    assert len(scores) == 300


def test_a_later_look_keeps_what_an_earlier_one_saw(here):
    train(here, Tracing.by(2, 5, "gradient_norm"))
    cell = train(here, Tracing.by(2, 5, "curvature"))
    assert {"gradient_norm", "curvature", "loss"} <= set(cell.traces().quantities)
    counted = Counted()
    train(here, Tracing.by(2, 5, "gradient_norm,curvature"), on=counted.engine)
    assert counted.jobs == []
    finer = train(here, Tracing(1, 3), on=counted.engine)
    assert [job.member for job in counted.jobs] == [0]
    with pytest.raises(MemregError, match="different checkpoints"):
        finer.traces()


def test_privacy_stays_where_only_traces_are_added(here):
    from mlflow import MlflowClient

    cell = train(here)
    client = MlflowClient(uri(here))
    told = {"privacy/auc": 0.6, "privacy_queries/auc": 0.7}
    for key, value in told.items():
        client.log_metric(cell.run_id, key, value)
    assert train(here, Tracing(2, 5)).metrics.items() >= told.items()
    assert not told.keys() & {k for k, v in train(here, members=8).metrics.items() if v == v}


def test_a_damaged_trace_is_said_and_made_anew(here):
    cell = train(here, Tracing(2, 5))
    path = cell.artifacts.get("traces/000001.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    registry = Registry(uri(here))
    with pytest.raises(MemregError, match="damaged trace"):
        registry.cell(cell.hash).traces()
    counted = Counted()
    mended = train(here, Tracing(2, 5), on=counted.engine)
    assert [job.member for job in counted.jobs] == [1]
    assert len(mended.traces()) == 2


def test_a_trace_of_another_cell_is_refused(here):
    cell = train(here, Tracing(1, 5))
    from memreg.registry.traces import read_trace

    with pytest.raises(MemregError, match="another cell"):
        read_trace(cell.artifacts.get("traces/000000.arrow"), "0" * 64)


def test_traces_go_along_with_an_exported_study(here, tmp_path_factory):
    cell = train(here, Tracing(2, 5))
    archive = here / "tiny.zip"
    export_study(Registry(uri(here)), "tiny", archive)
    other = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(other)
        with opened(archive) as found:
            bring_in(found.cells, From("tiny", found.grid, ""), Silent(), uri(other))
        brought = Registry(uri(other)).cell(cell.hash)
        a, b = cell.traces(), brought.traces()
    assert (a["loss"] == b["loss"]).all()
    assert (a.rates == b.rates).all()


def test_a_network_that_is_not_the_stored_one_is_warned_of(here, capsys):
    train(here)
    inner = engine("local", Resources(workers=2))

    def elsewhere(jobs, datasets):
        for job, prediction in inner.run(jobs, datasets):
            yield job, replace(prediction, predicted=(prediction.predicted + 1) % 10)

    said = []
    progress = Silent()
    progress.warn = said.append
    where = Where(replace(inner, run=elsewhere), tracking_uri=uri(here), tracing=Tracing(2, 5))
    corr_grid.run_grid(grid(), "tiny", where, progress)
    assert (
        sum("2 members of" in text and "are not the networks that are stored" in text for text in said) == 1
    )


def test_what_another_version_of_an_observer_saw_is_not_mixed_in(here):
    (here / "look.py").write_text("def at(_, __, labels):\n    return {'a': labels, 'old': labels}\n")
    train(here, Tracing.by(2, 5, "look:at"))
    (here / "look.py").write_text("def at(_, __, labels):\n    return {'a': labels + 1}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "look")
        cell = train(here, Tracing.by(1, 5, "look:at"))
    assert "old" not in cell.traces(members=1).quantities
    with pytest.raises(MemregError, match="different versions of observer look:at"):
        cell.traces()


def test_an_import_leaves_traces_that_are_there(here, tmp_path_factory):
    cell = train(here, Tracing(2, 5))
    archive = here / "tiny.zip"
    export_study(Registry(uri(here)), "tiny", archive)
    train(here, Tracing.by(2, 5, "gradient_norm"))
    with opened(archive) as found:
        bring_in(found.cells, From("again", found.grid, ""), Silent(), uri(here))
    assert "gradient_norm" in Registry(uri(here)).cell(cell.hash).traces().quantities


def test_an_observer_that_cannot_look_leaves_a_complete_cell_complete(here):
    (here / "blind.py").write_text("def look(model, images, labels):\n    raise ValueError('dark')\n")
    cell = train(here)
    with pytest.raises(MemregError, match="raised ValueError: dark"):
        train(here, Tracing.by(2, 5, "blind:look"))
    assert Registry(uri(here)).cell(cell.hash).complete


def test_members_that_were_killed_between_trace_and_shard_are_trained_once_more(here, monkeypatch):
    from memreg.registry.writers import CellWriter

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CellWriter, "store", killed)
        with pytest.raises(Killed):
            train(here, Tracing(2, 5))
    cell = train(here, Tracing(2, 5))
    assert len(cell.members()) == 6
    assert len(cell.traces()) == 2


def test_what_cannot_be_traced_is_refused_before_anything_is_written(here):
    from memreg.requests.training import Training

    with pytest.raises(MemregError, match="say how many"):
        _ = Training(observers="curvature").tracing
    with pytest.raises(MemregError, match="unknown observer"):
        _ = Training(trace=2, observers="curve").tracing
