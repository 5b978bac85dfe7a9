"""A study on one page: what is on it, and that it needs nothing else."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from studies import bad_input, program, run, tiny, uri

from analysis.influence import influence
from analysis.memorization import memorization
from entrypoints.train import train
from memreg.cli import memreg
from memreg.registry import Registry
from memreg.registry.provenance import project_command
from memreg.show.report import report
from memreg.show.report.cells import EDGES, ROOM, histogram, png


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(directory, run_id):
    client = mlflow.MlflowClient(uri(directory))
    artifacts = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    return (artifacts / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(done):
    return page_of(done[0], done[1].run_id)


def test_a_study_leaves_its_page(text, done):
    page = Page(text)
    assert page.open == []
    assert "Study tiny" in page.words
    assert "Four cells." in page.words
    assert "Pearson r = " in page.words
    for row in done[1].cells.to_dict("records"):
        assert f"{row['test_accuracy']:.1%}" in page.words
        assert row["cell"][:8] in page.words
    links = [a["href"] for a in page.all("a")]
    assert all(any(run_id in link for link in links) for run_id in done[1].cells["run_id"])
    assert "torch " in page.words


def test_it_needs_no_network_and_no_script_and_is_small(text):
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint(("script", "link", "iframe", "object"))
    assert all(i["src"].startswith("data:image/png;base64,") for i in page.all("img"))
    assert "url(" not in text
    assert "@import" not in text
    assert any("default-src 'none'" in m.get("content", "") for m in page.all("meta"))
    assert len(text.encode()) < 5_000_000


def test_whoever_cannot_see_it_is_told(text):
    page = Page(text)
    assert all(i["alt"] for i in page.all("img"))
    bars = page.all("svg")
    assert len(bars) == 4
    assert all(b["role"] == "img" and "score 0.25 or more" in b["aria-label"] for b in bars)
    assert page.all("html") == [{"lang": "en"}]


def test_the_most_memorized_of_each_cell_with_their_images(text, done):
    registry = Registry(uri(done[0]))
    for cell in done[1].cells["cell"]:
        best = registry.scores(cell).nlargest(8, ["score", "low"])
        for e in best.itertuples():
            assert f"{e.score:.2f} [{e.low:.2f}, {e.high:.2f}]" in text
    assert len(re.findall(r'alt="training example \d+', text)) == 32


def test_names_and_descriptions_are_text_and_not_markup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = "<script>alert(1)</script> ![x](http://127.0.0.1/x.png) **bold**"
    outcome = run(tiny(description=evil, members=4, cells=[{"dataset": "digits+subset=100"}]), tmp_path)
    page = Page(page_of(tmp_path, outcome.run_id))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in page.words
    assert page.all("strong")


def test_a_study_of_networks_that_left_nothing_out_has_its_page_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri(tmp_path))
    words = "--dataset digits+subset=100 --model vgg3-w8 --epochs 2 --design all --members 2 --study whole"
    assert "vgg3-w8" in program(monkeypatch, capsys, train, *words.split())
    registry = Registry()
    assert "memorized_fraction/0.25" not in registry.cells("whole")
    page = Page(page_of(tmp_path, registry.study_run("whole").info.run_id))
    assert f"{registry.cells('whole')['test_accuracy'][0]:.1%}" in page.words
    assert not page.all("svg")
    cell = registry.cells("whole")["cell"][0]
    bad_input(monkeypatch, capsys, memorization, "--cell", cell, match="has no scores")
    bad_input(monkeypatch, capsys, influence, "--cell", cell, match="never leaves out")


def test_images_end_where_the_page_is_full(done, monkeypatch):
    monkeypatch.setattr("memreg.show.report.cells.ROOM", 2000)
    from memreg.data import load

    text = report(Registry(uri(done[0])), "tiny", lambda cell: load(cell.dataset))
    assert "as many images as it can hold" in text
    assert 8 <= len(re.findall(r'alt="training example', text)) < 32
    assert ROOM < 5_000_000


def test_large_images_are_no_larger_than_they_are_shown():
    image = np.random.default_rng(0).integers(0, 256, (512, 400, 3), np.uint8)
    assert len(png(image)) < 100_000
    shown = Image.open(io.BytesIO(base64.b64decode(png(image).partition(",")[2])))
    assert shown.size == (100, 128)


def test_a_histogram_has_every_score_and_no_taller_bar_than_one():
    bars = histogram([-0.9, 0.0, 0.0, 0.012, 1.0])
    assert len(bars) == 3
    assert max(b.height for b in bars) == 1
    assert {round(b.x * (len(EDGES) - 1)) for b in bars} == {0, 10, 49}


def test_made_again_it_has_what_was_analysed_since(planted, tool, tmp_path, monkeypatch, capsys):
    cell, there = tool
    there(memreg, "report", "subsets")
    before = page_of(planted[0], Registry().study_run("subsets").info.run_id)
    there(influence, "--cell", cell[:12])
    assert "report.html of run" in there(memreg, "report", "subsets")
    after = Page(page_of(planted[0], Registry().study_run("subsets").info.run_id))
    assert f"Influence of {cell[:12]}" in after.words
    assert "pairs of a training and a test example have an influence of" in after.words
    assert len(after.all("img")) == len(Page(before).all("img")) + 1


def test_the_command_that_reproduces_it():
    argv = ["/x/entrypoints/corr_grid.py", "--grid", "my grid.yaml", "--members", "", "--data-dir=/d"]
    assert project_command(argv) == "memreg corr_grid --grid 'my grid.yaml' --data-dir /d"
    assert project_command(["/x/bin/memreg", *argv[1:]]) == "memreg --grid 'my grid.yaml' --data-dir /d"
    assert (
        project_command(["/x/bin/memreg", "import", "a.zip", "--study=s"]) == "memreg import a.zip --study s"
    )
    secret = ["entrypoints/search.py", "--storage", "postgresql://me:secret@host/db"]
    assert "secret" not in project_command(secret)
    assert project_command(["/usr/bin/pytest", "-x"]) == ""
    assert project_command(["-m"]) == ""
