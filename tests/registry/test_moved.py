"""A project directory that is renamed, copied or restored: nothing is trained again, no bit changes."""

import contextlib
import shutil
import subprocess
import zipfile
from pathlib import Path

import mlflow
import pytest
import sqlalchemy as sa
from mlflow.entities import ViewType
from studies import bad_input, program, run, same_bits, tiny, uri

from memreg.cli import memreg
from memreg.engines import Engine
from memreg.errors import MemregError
from memreg.registry import Registry
from memreg.registry.location import place
from memreg.registry.relocation import relocate


@pytest.fixture
def project(done, tmp_path):
    """A finished study in a directory of its own, which nothing else names."""
    directory = tmp_path / "first home"
    shutil.copytree(done[0], directory)
    relocate(str(done[0]), str(directory), uri(directory))
    return directory


def rename(project: Path, to: Path) -> None:
    subprocess.run(["mv", project, to], check=True)


def copy(project: Path, to: Path) -> None:
    subprocess.run(["cp", "-r", project, to], check=True)


def copy_and_lose(project: Path, to: Path) -> None:
    copy(project, to)
    shutil.rmtree(project)


def zip_and_unpack(project: Path, to: Path) -> None:
    packed = shutil.make_archive(str(project.parent / "packed"), "zip", project)
    shutil.rmtree(project)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(to)


def never(jobs, *_):
    raise AssertionError(f"{len(list(jobs))} members trained")


def equal(a: Registry, b: Registry) -> None:
    assert a.cells()["cell"].tolist() == b.cells()["cell"].tolist()
    for cell in a.cells()["cell"]:
        same_bits(a.predictions(cell), b.predictions(cell))
        assert a.scores(cell).equals(b.scores(cell))


@pytest.mark.parametrize("way", [rename, copy, copy_and_lose, zip_and_unpack])
@pytest.mark.parametrize("relocated", [False, True])
def test_it_reads_and_trains_nothing(project, done, way, relocated, monkeypatch):
    new = project.parent / "second" / "home"
    new.parent.mkdir()
    way(project, new)
    if relocated:
        relocate(str(project), str(new), uri(new))
    before = {p for p in new.rglob("*") if p.is_file()}
    equal(Registry(uri(new)), Registry(uri(done[0])))
    assert {p for p in new.rglob("*") if p.is_file()} == before
    monkeypatch.chdir(new)
    outcome = run(tiny(), new, study="again", on=Engine(never, "cpu"))
    assert outcome.cells["members"].tolist() == [20] * 4
    there = Registry(uri(new))
    assert there.artifacts(there.study_run("again")).get("report.html").is_relative_to(new)
    equal(there, Registry(uri(done[0])))
    if way is not copy:
        assert not project.exists(), "the old directory is not made again"
    else:
        equal(Registry(uri(project)), Registry(uri(done[0])))
    if not relocated and way is not copy:
        assert len(run(tiny(members=21), new, study="grown").cells) == 4
        assert not project.exists()
        assert there.predictions(there.cells()["cell"][0]).member.tolist() == list(range(21))


def test_a_copy_does_not_write_into_what_it_was_copied_from(project, monkeypatch):
    new = project.parent / "copy"
    copy(project, new)
    before = {p: p.stat().st_mtime_ns for p in project.rglob("*")}
    monkeypatch.chdir(new)
    with pytest.raises(MemregError, match=rf"is a copy: .*memreg relocate '{project}' {new}`"):
        run(tiny(members=21), new, study="grown", on=Engine(never, "cpu"))
    assert {p: p.stat().st_mtime_ns for p in project.rglob("*")} == before
    relocate(str(project), str(new), uri(new))
    assert run(tiny(members=21), new, study="grown").cells["members"].tolist() == [21] * 4
    assert {p: p.stat().st_mtime_ns for p in project.rglob("*")} == before


@pytest.mark.parametrize("lost", ["mlruns", "shards"])
def test_a_complete_cell_is_not_trained_again_where_its_artifacts_are_gone(
    project, lost, monkeypatch, capsys
):
    monkeypatch.chdir(project)
    if lost == "mlruns":
        Path("mlruns").rename("elsewhere")
        match = rf"no such directory.*memreg relocate '{project}/mlruns' NEW"
    else:
        for shard in project.rglob("*.arrow"):
            shard.unlink()
        match = r"is complete, and run .* has no predictions/\*.arrow"
    with pytest.raises(MemregError, match=match) as info:
        run(tiny(), project, study="again", on=Engine(never, "cpu"))
    assert "\n" not in str(info.value)
    assert lost != "mlruns" or not Path("mlruns").exists()
    registry = Registry(uri(project))
    cell = registry.cells()["cell"][0]
    if lost == "shards":
        with pytest.raises(MemregError, match="has no prediction shards"):
            registry.predictions(cell)
        return
    for asked in (registry.scores, registry.predictions, lambda hash_: registry.cell(hash_).examples):
        with pytest.raises(MemregError, match=match):
            asked(cell)
    said = bad_input(monkeypatch, capsys, memreg, "scores", cell, "--tracking-uri", uri(project))
    assert "memreg relocate" in said
    words = ("relocate", "mlruns", "elsewhere", "--tracking-uri", uri(project))
    said = program(monkeypatch, capsys, memreg, *words)
    client = mlflow.MlflowClient(uri(project))
    experiments = client.search_experiments(ViewType.ALL)
    runs = len(client.search_runs([e.experiment_id for e in experiments], run_view_type=ViewType.ALL))
    changed = f"locations changed: experiments {len(experiments)}, runs {runs}"
    assert f"{changed}; 1 of these runs have no directory there" in said
    assert run(tiny(), project, study="again", on=Engine(never, "cpu")).cells["members"].tolist() == [20] * 4


def test_what_is_deleted_is_trained_again(project, monkeypatch):
    monkeypatch.chdir(project)
    (cell, *_) = Registry(uri(project)).cells()["run_id"]
    shutil.rmtree(next(project.rglob(cell)))
    mlflow.MlflowClient(uri(project)).delete_run(cell)
    assert run(tiny(), project, study="again").cells["members"].tolist() == [20] * 4


def locations(directory: Path) -> list[str]:
    with contextlib.closing(sa.create_engine(uri(directory)).connect()) as connection:
        return [
            *connection.exec_driver_sql("select artifact_uri from runs order by run_uuid").scalars(),
            *connection.exec_driver_sql("select artifact_location from experiments order by 1").scalars(),
        ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nowhere", ".", "no artifacts lie below nowhere, they lie below"),
        (".", "nowhere", "there is no directory"),
        ("s3://a", "b", "either two directories, or two URIs"),
        ("", ".", "needs two directories"),
        ("../first", ".", "no artifacts lie below ../first"),  # the head of a name, and no directory
        (".", "x" * 200, "characters at most"),
    ],
)
def test_relocating_what_cannot_be(project, monkeypatch, capsys, old, new, said):
    monkeypatch.chdir(project)
    if new.startswith("x"):
        Path(new).mkdir()
    before = locations(project)
    line = bad_input(monkeypatch, capsys, memreg, "relocate", old, new, "--tracking-uri", uri(project))
    assert said in line
    assert locations(project) == before


def test_uris_and_links_are_relocated_as_they_are_written(project, tmp_path):
    engine = sa.create_engine(uri(project))
    with engine.begin() as connection:
        runs = connection.exec_driver_sql("select run_uuid from runs order by run_uuid").scalars().all()
        for run_id, location in zip(
            runs, (f"file://{tmp_path}/a%20b/c", "s3://bucket/x/y", f"{tmp_path}/link/z"), strict=False
        ):
            connection.exec_driver_sql(
                "update runs set artifact_uri = ? where run_uuid = ?", (location, run_id)
            )
    (tmp_path / "d e").mkdir()
    (tmp_path / "link").symlink_to("d e")
    assert relocate(f"{tmp_path}/a b", f"{tmp_path}/d e", uri(project)).counts == {"runs": 1}
    assert relocate("s3://bucket/x/", "s3://other", uri(project)).counts == {"runs": 1}
    assert relocate(f"{tmp_path}/link", str(tmp_path), uri(project)).counts == {"runs": 1}
    assert locations(project)[:3] == [f"file://{tmp_path}/d%20e/c", "s3://other/y", f"{tmp_path}/z"]


def test_where_artifacts_lie(tmp_path):
    base = tmp_path / "here"
    tracking = f"sqlite:///{base}/mlflow.db"
    old = "/no/such/place/mlruns/1/abc/artifacts"
    assert place(tracking, "abc", "s3://bucket/1/abc/artifacts") is None
    assert place("postgresql://h/db", "abc", old).root == Path(old)
    assert place(tracking, "abc", old).root == Path(old)
    (base / "mlruns" / "1").mkdir(parents=True)
    new = base / "mlruns/1/abc/artifacts"
    assert place(tracking, "abc", old).root == new, "a new run of an experiment that was moved"
    (base / "place/mlruns/1/abc/artifacts").mkdir(parents=True)
    assert place(tracking, "abc", old).root == base / "place/mlruns/1/abc/artifacts", "the longest tail"
    assert place(tracking, "xyz", "file:///elsewhere/2/xyz/artifacts").root == Path(
        "/elsewhere/2/xyz/artifacts"
    )
