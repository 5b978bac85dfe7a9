"""`memreg audit`: real digits as files in folders, some in a wrong one."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies import bad_input, program, uri

import memreg
from memreg.cli import memreg as cli
from memreg.data import load
from memreg.registry.tables import read_table
from memreg.scoring.label_check import held_out_labels
from memreg.show.explore.desk import Desk

KINDS = {0: "zero", 1: "one", 4: "four"}
WRONG = 9


def write(root: Path, each: int) -> dict[str, str]:
    """So many digits of each kind, bigger and smaller; files that lie in a wrong folder, and their true
    class."""
    digits = load("digits")
    rng, names, planted = np.random.default_rng(0), list(KINDS.values()), {}
    for k, digit in enumerate(KINDS):
        for number, i in enumerate(np.flatnonzero(digits.train_labels == digit)[:each]):
            wrong = number < WRONG // 3
            kind = names[(k + 1 + rng.integers(2)) % 3 if wrong else k]
            file = root / kind / f"{names[k]}-{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = (digits.train_images[i, :, :, 0].astype(int) * 255 // 16).clip(0, 255).astype(np.uint8)
            side = 8 + number % 3
            Image.fromarray(pixels).resize((side, side)).save(file)
            if wrong:
                planted[f"{kind}/{file.name}"] = names[k]
    return planted


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Where it was done, what was planted, and what was printed."""
    root = tmp_path_factory.mktemp("audit")
    planted = write(root / "my digits", 60)
    (root / "my digits" / "one" / "broken.png").write_bytes(b"x")
    return root, planted


@pytest.fixture
def audit(audited, monkeypatch, capsys):
    monkeypatch.chdir(audited[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(audited[0]))
    return lambda *arguments: program(monkeypatch, capsys, cli, "audit", *arguments)


WORDS = ("my digits", "--members", "30")


def test_wrong_labels_are_found_and_explore_shows_them(audit, audited, monkeypatch, capsys):
    root, planted = audited
    out = audit(*WORDS)
    assert "181 images, typically 9 pixels high or wide: they become 9x9" in out
    assert re.search(r"to train: 30 networks, about \d+ (s|min) in \d+ process", out)
    end = out[out.index("Networks are right about") :]
    assert end.count("\n") <= 17
    listed = [line.split() for line in end.splitlines() if line.startswith("  ")][1:]
    hits = [(row[0], row[2]) for row in listed if row[0] in planted]
    assert len(hits) >= 0.75 * len(listed)
    assert len(hits) >= 0.75 * WRONG
    assert sum(planted[file] == kind for file, kind in hits) >= 0.9 * len(hits)
    assert "look at them: memreg explore audit-my-digits --labels" in end
    registry = memreg.Registry(uri(root))
    (hash_,) = registry.cells("audit-my-digits")["cell"]
    cell = registry.cell(hash_)
    assert cell.label_check()["excluded_count"].min() >= 6
    tested = held_out_labels(cell)
    assert set(cell.label_check()["file"]) | set(tested["file"]) | {"one/broken.png"} == {
        str(path.relative_to(root / "my digits"))
        for path in (root / "my digits").rglob("*.png")
        if "memreg-cache" not in path.parts
    }
    members, n = cell.members(), cell.n_train
    for row in tested.itertuples():
        said = members.predicted[:, n + row.example]
        assert row.excluded_count == len(said) == 30
        assert row.label_agreement == pytest.approx((said == row.label).mean())
    desk = Desk(registry, lambda study: "")
    assert desk.limit(["audit-my-digits"])[1] == [hash_]
    stored = registry.artifacts(registry.study_run("audit-my-digits"))
    table = read_table(stored.get("label_check.parquet"))
    assert list(table["file"].head(len(listed))) == [row[0] for row in listed]
    again = audit(*WORDS)
    assert "to train:" not in again
    assert again[again.index("Networks are right about") :] == end


def test_what_was_put_right_is_audited_anew(audit, audited):
    root, planted = audited
    audit(*WORDS)
    file, kind = next(iter(planted.items()))
    (root / "my digits" / file).rename(root / "my digits" / kind / Path(file).name)
    out = audit("my digits", "--members", "4")
    assert re.search(r"No more than \d of them judge an image, and it takes 6: train more\.", out)
    newest = memreg.Registry(uri(root)).cells("audit-my-digits")["cell"].iloc[-1]
    assert f"memreg explore {newest[:12]} --labels" in out, "the study has two cells"


def test_train_and_test_are_taken_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part, each in (("train", 20), ("test", 5)):
        write(tmp_path / "set" / part, each)
    out = program(
        monkeypatch, capsys, cli, "audit", "set/", "--members", "4", "--study", "mine", "--size", "8"
    )
    cell = memreg.Registry().cell(memreg.Registry().cells("mine")["cell"][0])
    assert (cell.n_train, len(cell.labels)) == (60, 75)
    assert cell.cell.dataset == f"folder:{tmp_path}/set+size=8"
    assert "memreg explore mine --labels" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["absent"], "there is no folder absent"),
        (["file"], "there is no folder file"),
        (["empty"], "must be a folder with train/ and test/ or val/ in it, or with a sub-folder"),
        (["single"], "only ant/ has images: there must be two classes"),
        (["few"], "class bee has 9 images: 10 are needed"),
        (["no-images"], "no images in its sub-folders"),
        (["~nobody-here/x"], "there is no user of this name"),
        (["few", "--members", "3"], "members: "),
        (["few", "--size", "4"], "size: "),
        (["few", "--study", "a b"], "name must be"),
        ([], "Missing argument 'FOLDER'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, counts in {"single": (12,), "few": (12, 9), "no-images": (0, 0)}.items():
        for kind, count in zip(("ant", "bee"), counts, strict=False):
            (tmp_path / name / kind).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (9, 9), (i, i, i)).save(tmp_path / name / kind / f"{i}.png")
    assert line in bad_input(monkeypatch, capsys, cli, "audit", *words, match="memreg: error: ")
    assert not list(tmp_path.glob("ml*"))
