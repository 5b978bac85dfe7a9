"""A study goes out as an archive and comes in again: to the bit, or not at all."""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from studies import run, same_bits, tiny, uri

from memreg.errors import MemregError
from memreg.exchange.archive import export_study, opened
from memreg.questions import correlation
from memreg.registry import Registry


@pytest.fixture(scope="module")
def archive(done, tmp_path_factory):
    """The study of `done`, exported."""
    path = tmp_path_factory.mktemp("archive") / "tiny.zip"
    export_study(Registry(uri(done[0])), "tiny", path)
    return path


def test_a_study_comes_back_elsewhere_to_the_bit(here, source, archive, tmp_path):
    assert "vgg3-w8" in here("import", archive)
    registry = Registry()
    pd.testing.assert_frame_equal(
        registry.cells("tiny").drop(columns="run_id"), source.cells("tiny").drop(columns="run_id")
    )
    for cell in source.cells()["cell"]:
        same_bits(registry.predictions(cell), source.predictions(cell))
        assert registry.scores(cell).equals(source.scores(cell))
        assert registry.cell(cell).examples.equals(source.cell(cell).examples)
        assert registry.cell(cell).series("epoch/train_loss") == source.cell(cell).series("epoch/train_loss")
    a, b = (correlation.run(correlation.Request(study="tiny"), r).result for r in (registry, source))
    assert repr(a.pooled) == repr(b.pooled)
    outcome = run(tiny(), tmp_path, study="again")
    assert outcome.cells["run_id"].tolist() == registry.cells("tiny")["run_id"].tolist()
    here("export", "tiny", "again.zip")
    with opened(Path("again.zip")) as back, opened(archive) as first:
        assert [c.cell for c in back.cells] == [c.cell for c in first.cells]
        assert [c.series for c in back.cells] == [c.series for c in first.cells]


def test_an_archive_adds_the_members_that_are_missing(here, source, archive, tmp_path):
    run(tiny(members=10), tmp_path)
    here("import", archive, "--study", "more")
    registry = Registry()
    assert registry.cells()["members"].tolist() == [20] * 4
    for cell in source.cells()["cell"]:
        same_bits(registry.predictions(cell), source.predictions(cell))
        assert registry.scores(cell).equals(source.scores(cell))


def same_content(a, b):
    return (
        (a.study, a.grid) == (b.study, b.grid)
        and [c.cell for c in a.cells] == [c.cell for c in b.cells]
        and [c.series for c in a.cells] == [c.series for c in b.cells]
        and all(x.examples.equals(y.examples) for x, y in zip(a.cells, b.cells, strict=True))
    )


def test_truncated_and_flipped_archives_are_refused(archive, tmp_path):
    whole, path = archive.read_bytes(), tmp_path / "x.zip"
    rng = np.random.default_rng(0)
    for size in [0, 1, 100, *rng.integers(0, len(whole), 10)]:
        path.write_bytes(whole[:size])
        with pytest.raises(MemregError), opened(path):
            pass
    harmless = 0
    for position in rng.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(MemregError), opened(path) as back, opened(archive) as truth:
            assert same_content(back, truth)
            harmless += 1
    assert harmless < 20


def rewritten(archive, path, change, compression=zipfile.ZIP_STORED):
    """The archive with other files; `change` gets files by name and the manifest."""
    import hashlib

    with zipfile.ZipFile(archive) as source:
        files = {name: source.read(name) for name in source.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(files, manifest)
    for name, content in files.items():
        digest = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest["files"].setdefault(name, digest)
        if manifest["files"][name]["sha256"] != "lie":
            manifest["files"][name] = digest
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
        target.writestr("manifest.json", json.dumps(manifest))
    return path


def shards(files):
    return [name for name in files if name.endswith(".arrow")]


HOSTILE = {
    "climbs": (lambda f, m: f.update({"../../hacked": b"x"}), "is no file of an archive"),
    "climbs within": (lambda f, m: f.update({f"{'0' * 64}/../../hacked": b"x"}), "is no file of an archive"),
    "absolute": (lambda f, m: f.update({"/tmp/hacked": b"x"}), "is no file of an archive"),
    "code": (lambda f, m: f.update({f"{'0' * 64}/run.py": b"x"}), "is no file of an archive"),
    "missing": (lambda f, m: f.pop(shards(f)[0]), "not those that its manifest names"),
    "lie": (lambda f, m: m["files"][shards(f)[0]].update(sha256="lie"), "fails its checksum"),
    "version": (lambda f, m: m.update(version=2), "of version 2"),
    "manifest": (lambda f, m: m.pop("study"), "is not what `memreg export` writes"),
    "swapped": (
        lambda f, m: f.update({shards(f)[0]: f[shards(f)[1]], shards(f)[1]: f[shards(f)[0]]}),
        "belongs to another cell",
    ),
    "twice": (
        lambda f, m: f.update({shards(f)[0].replace("000000", "000777"): f[shards(f)[0]]}),
        "has no members, or one twice",
    ),
    "another cell": (
        lambda f, m: f.update({f"{m['cells'][0]}/cell.json": f[f"{m['cells'][1]}/cell.json"]}),
        "describes another cell",
    ),
    "unlisted cell": (lambda f, m: m["cells"].append("0" * 64), "no archive, or a damaged one"),
    "climbing cell": (lambda f, m: m["cells"].append("../.."), "no archive, or a damaged one"),
    "examples": (
        lambda f, m: f.update({f"{m['cells'][0]}/examples.parquet": b"PAR1"}),
        "not what `memreg export` writes",
    ),
    "series": (
        lambda f, m: f.update({f"{m['cells'][0]}/series.json": b"[]"}),
        "not what `memreg export` writes",
    ),
    "step": (
        lambda f, m: f.update(
            {f"{m['cells'][0]}/series.json": b'{"parameters": 1, "series": {"a": {"%d": 0.5}}}' % 2**70}
        ),
        "not what `memreg export` writes",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(archive, tmp_path, monkeypatch, kind):
    directory = tmp_path / "in" / "here"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    change, message = HOSTILE[kind]
    path = rewritten(archive, directory / "x.zip", change)
    with pytest.raises(MemregError, match=message) as info, opened(path):
        pass
    assert "\n" not in str(info.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "here", "x.zip"]
    assert not Path("/tmp/hacked").exists()


def test_compressed_archives_are_refused(archive, tmp_path):
    """No few bytes that unpack to very many."""
    path = rewritten(archive, tmp_path / "x.zip", lambda f, m: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(MemregError, match="is compressed, or longer"), opened(path):
        pass
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            how = zipfile.ZIP_STORED if info.filename == "manifest.json" else zipfile.ZIP_DEFLATED
            target.writestr(info.filename, source.read(info), how)
    with pytest.raises(MemregError, match="not as long as"), opened(path):
        pass
